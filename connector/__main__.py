"""``python -m connector`` is ``ccaas-bridge``."""

from connector.cli import main

if __name__ == "__main__":
    main()
