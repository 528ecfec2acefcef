"""The tests: ``unit``, ``properties``, ``contract``, ``integration``, and what they stand on in ``support``."""
