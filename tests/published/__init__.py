"""What is shipped beside the code, held against the specifications and tools of others, and run as its readers do."""
