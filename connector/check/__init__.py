"""Every prerequisite of a configuration, looked at with the bridge's own clients. Nothing is changed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from connector.check.cluster import ClusterCheck
from connector.check.platforms import PlatformCheck
from connector.check.schemas import check_schemas
from connector.check.shared_tokens import check_redis
from connector.core.finding import Finding, State, ok
from connector.settings import Settings
from connector.worker import plans

__all__ = ["CheckReport", "check"]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All findings. ``lanes_differ``: the configuration does not fit the group's topics, as ``run`` would say."""

    findings: tuple[Finding, ...]
    lanes_differ: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing fails."""
        return all(finding.state is not State.FAILS for finding in self.findings)


async def check(settings: Settings) -> CheckReport:
    """Look at Kafka, then at every platform, at the same time, then at schema registry and Redis."""
    summary = f"{len(settings.streams)} streams, {len(settings.platforms)} platforms"
    client, topics = plans.kafka_client(settings), plans.event_topics(settings)
    cluster = await asyncio.to_thread(ClusterCheck(client, settings.lanes, plans.topic_plan(settings), topics).run)
    checks = [
        PlatformCheck(
            name,
            platform,
            [stream for stream in settings.streams if stream.platform == name],
            in_service=cluster.in_service,
        )
        for name, platform in settings.platforms.items()
    ]
    platforms = await asyncio.gather(*(each.run() for each in checks))
    findings = [ok("configuration", summary), *cluster.findings, *(found for one in platforms for found in one)]
    if settings.schema_registry is not None:
        findings += await check_schemas(plans.forms(settings.streams), plans.registry(settings.schema_registry))
    if settings.redis is not None:
        findings.append(await check_redis(plans.redis(settings.redis)))
    return CheckReport(tuple(findings), cluster.lanes_differ)
