"""Genesys Cloud's public API on loopback: OAuth, notification channels, the REST lists and the details query.

True to what Genesys documents and its SDK expects; where nobody says how the platform behaves, a setting has it both
ways. There is no replay: what happens while nobody listens is only in the ledger and in the details query.
"""

from connector.simulator.genesys.cloud import GenesysCloud
from connector.simulator.genesys.settings import GenesysSettings

__all__ = ["GenesysCloud", "GenesysSettings"]
