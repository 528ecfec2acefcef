"""A contact-centre platform on loopback: OAuth, event streams over WebSocket, a snapshot, and faults on demand.

Its event log is deterministic and its ledger says what it sent, so that a test can compare a topic byte for byte.
"""

from connector.simulator.server import Simulator
from connector.simulator.settings import SimulatorSettings

__all__ = ["Simulator", "SimulatorSettings"]
