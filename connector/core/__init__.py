"""Decisions, as synchronous functions of (state, input, now). No I/O, no clock, no randomness of its own."""
