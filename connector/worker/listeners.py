"""The worker's HTTP listeners, put together: probes, management API, status page, each behind what guards it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from connector.management import Catalogue, Fleet
from connector.ports import Notices
from connector.web.cluster import Cluster
from connector.web.connectors import Connectors
from connector.web.loggers import Loggers
from connector.web.page import StatusPage
from connector.web.probes import probe_routes
from connector.web.server import Listener, tls_context
from connector.worker import plans
from connector.worker.assembly import Workshop


async def open_listeners(
    workshop: Workshop,
    fleet: Fleet,
    catalogue: Catalogue,
    notices: Notices,
    unready: Callable[[], list[str]],
    stack: AsyncExitStack,
) -> None:
    """Listen where the configuration says, until the stack is unwound.

    Raises :class:`connector.errors.ConfigurationError` where an address or a certificate cannot be used.
    """
    settings, http = workshop.settings, workshop.settings.http
    probes = probe_routes(workshop.metrics.registry, unready, workshop.platforms.remarks)
    management = [
        *probes,
        *Connectors(fleet, catalogue).routes(),
        *Cluster(fleet, catalogue, Loggers(notices)).routes(),
        *StatusPage(fleet, settings.group).routes(),
    ]
    tls = None if http.tls is None else tls_context(*plans.tls_files(http.tls))
    listeners = [(http.listen, Listener(management, plans.guard(http), tls))]
    if http.probes is not None:
        listeners.append((http.probes, Listener(probes)))
    for address, listener in listeners:
        await listener.start(address)
        stack.push_async_callback(listener.stop)
