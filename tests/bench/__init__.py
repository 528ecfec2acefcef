"""Benchmarks: ``make bench``. They report, and never fail for being slow."""
