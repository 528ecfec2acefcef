"""The OAuth clients of the organisation: each has a token office. Pure; instants are the platform's clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from connector.simulator.genesys.settings import GenesysSettings
from connector.simulator.settings import SimulatorSettings
from connector.simulator.tokens import Denied, IssuedToken, Refused, TokenOffice, basic_credentials


class Clients:
    """Who may have tokens, and whose a token is. Genesys takes client credentials with Basic authentication."""

    def __init__(self, settings: GenesysSettings) -> None:
        self._idle_s = settings.token_idle_s or math.inf
        self._offices = {
            client: TokenOffice(
                SimulatorSettings(
                    seed=settings.seed,
                    client_id=client,
                    client_secret=secret,
                    token_life_s=settings.token_life_s,
                    opaque_tokens=True,
                )
            )
            for client, secret in settings.clients.items()
        }

    def request(
        self, authorization: str | None, form: Mapping[str, str], now_s: float
    ) -> tuple[IssuedToken, dict[str, Any]] | Refused:
        """Answer a token request: the token and the answer's body, or the refusal."""
        name, _ = basic_credentials(authorization or "") or ("", "")
        office = self._offices.get(name)
        if office is None:
            return Refused(401, "invalid_client", "client not found or invalid client secret")
        if form.get("grant_type") != "client_credentials":
            return Refused(400, "unsupported_grant_type", "client_credentials is what this client may ask for")
        found = office.request(authorization, form, now_s)
        if not isinstance(found, Refused):
            found[0].idle_from_s = now_s + self._idle_s
        return found

    def check(self, authorization: str | None, now_s: float) -> IssuedToken | None:
        """The live token of an ``Authorization`` header, which is not idle then."""
        for office in self._offices.values():
            found = office.check(authorization, now_s)
            if not isinstance(found, Denied):
                found.idle_from_s = now_s + self._idle_s
                return found
        return None

    def end_all(self, now_s: float) -> int:
        """End every live token; returns how many."""
        return sum(office.expire_all(now_s) for office in self._offices.values())

    def issued(self) -> dict[str, int]:
        """How many tokens each client got."""
        return {client: len(office.issued) for client, office in self._offices.items()}
