"""Hand-written implementations of the ports; each passes the contract tests that the real one passes."""
