"""What ``app`` puts together: from settings to real clients behind the ports, and what a worker watches and tells."""
