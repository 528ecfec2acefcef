"""Contact-centre event streams into Kafka: exactly once, in order, through every token rotation."""

__version__ = "0.1.0"
