"""Kafka: lane writers, checkpoints, ownership, topics. KAFKA.md's rules are cited by number where they act."""
