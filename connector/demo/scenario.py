"""What the demo plays: the platform, the bridge's configuration, when which fault comes, what must have happened."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from typing import Final

from connector.demo.cluster import LANES, Cluster
from connector.settings import Settings
from connector.settings.root import INTERNAL_TOPICS
from connector.simulator import Simulator, SimulatorSettings

STREAM: Final = "wfm"
TOKEN_LIFE_S: Final = 5.0
EVENTS_PER_S: Final = 200.0
SOCKET_DELAY_S: Final = 0.15  # on loopback two sockets would never be seen together
REASON_1008: Final = "forced by the demo"
_LOOPBACK: Final = "127.0.0.1"
_SECONDS_A_ROTATION: Final = 6.0  # a token is replaced after 3.5 s of 5; each fault may take the place of a rotation
_ROTATIONS: Final = 4
_CREDENTIALS: Final = SimulatorSettings()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run of ``seconds``, counted from the first event that is in Kafka."""

    seconds: float
    group: str

    @classmethod
    def new(cls, seconds: float) -> Scenario:
        """A scenario whose names nobody else uses."""
        return cls(seconds, f"ccaas-demo-{secrets.token_hex(4)}")

    @property
    def events_topic(self) -> str:
        """Where the events go."""
        return f"{self.group}.events"

    @property
    def topics(self) -> list[str]:
        """Every topic that the bridge may use."""
        return [self.events_topic, *(f"{self.group}.{name}" for name in INTERNAL_TOPICS)]

    @property
    def abort_at_s(self) -> float:
        """When the platform resets the TCP connection."""
        return 0.4 * self.seconds

    @property
    def close_1008_at_s(self) -> float:
        """When the platform closes the socket with 1008, as if the token had died."""
        return 0.65 * self.seconds

    @property
    def least_rotations(self) -> int:
        """Fewer would prove nothing: 4, or what a short run allows."""
        return max(0, min(_ROTATIONS, int(self.seconds / _SECONDS_A_ROTATION) - 1))

    def platform(self) -> Simulator:
        """A platform, not yet listening, whose tokens live a few seconds and whose sockets take a while to speak."""
        return Simulator(
            SimulatorSettings(
                rate=EVENTS_PER_S, conversations=60, token_life_s=TOKEN_LIFE_S, open_delay_s=SOCKET_DELAY_S
            )
        )

    def settings(self, platform: Simulator, cluster: Cluster) -> Settings:
        """What a user would write into ``bridge.yaml``."""
        auth = {
            "token_url": platform.token_url,
            "client_id": _CREDENTIALS.client_id,
            "client_secret": _CREDENTIALS.client_secret,
        }
        simulated = {
            "kind": "genesys-sequence",
            "stream_url": platform.stream_url,
            "snapshot_url": platform.snapshot_url,
            "retention_seconds": platform.world.settings.retention_s,
            "auth": auth,
        }
        document = {
            "group": self.group,
            "kafka": {"bootstrap_servers": cluster.bootstrap_servers},
            "lanes": LANES,
            "platforms": {"simulator": simulated},
            "streams": [{"name": STREAM, "platform": "simulator", "topic": self.events_topic, "start": "earliest"}],
            "http": {"listen": f"{_LOOPBACK}:{_free_port()}"},
            "topics": {"create": cluster.stays},
            # the longest: a busy machine must not lose its lanes, for the embedded broker shows what is then aborted
            "membership": {"session_timeout_seconds": 15},
        }
        return Settings.model_validate(document)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
