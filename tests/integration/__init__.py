"""Real Kafka, real sockets, real processes. Each test is named after the failure it shows."""
