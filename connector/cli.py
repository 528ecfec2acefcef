"""The command line: ``ccaas-bridge``."""


def main() -> None: ...
