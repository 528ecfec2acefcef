"""One stream: its sockets, the path of its events, its gaps and snapshots. Read ``pipeline`` first."""
