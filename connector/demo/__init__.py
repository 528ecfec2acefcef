"""The demo: platform, broker and bridge in one process, and the verdict of an independent ledger."""

from connector.demo.run import run_demo

__all__ = ["run_demo"]
