"""Tables and pure functions; no event loop, no network."""
