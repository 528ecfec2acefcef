"""``platforms.<name>.auth``: how tokens are had. ``grant`` decides which of the three models below is meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from connector.core.assertion import load_signing_key
from connector.settings.addresses import HttpUrl, NonEmpty
from connector.settings.fields import Document, PositiveSeconds, Section, as_validation_error, checked
from connector.settings.secret_files import Fault, read_member_files

_GRANT_URNS = "urn:ietf:params:oauth:grant-type:"
_DISCOVERY = "/.well-known/openid-configuration"
_OWN_PARAMETERS = frozenset(
    {"grant_type", "scope", "client_id", "client_secret", "username", "password", "assertion", "client_assertion"}
)


def _scope(scope: str) -> str:
    if scope.startswith(_GRANT_URNS):
        raise ValueError("is a grant, not a scope; leave it out here (for jwt-bearer set grant: jwt_bearer)")
    return scope


def _issuer_url(url: str) -> str:
    if urlsplit(url).query or url.endswith(_DISCOVERY):
        raise ValueError(f"should be the issuer alone, without a query and without {_DISCOVERY}")
    return url


class _Auth(Section):
    """What every grant has."""

    grant: Literal["client_credentials", "password", "jwt_bearer"] = Field(description="The OAuth grant.")
    token_url: HttpUrl | None = Field(default=None, description="The token endpoint; this or `issuer_url`.")
    issuer_url: Annotated[HttpUrl, AfterValidator(_issuer_url)] | None = Field(
        default=None,
        description="The issuer, in place of `token_url`: its `/.well-known/openid-configuration` names the endpoint.",
    )
    client_auth: Literal["basic", "body"] = Field(
        default="basic", description="Client credentials in the Authorization header or in the body (RFC 6749 §2.3.1)."
    )
    scopes: list[Annotated[str, Field(pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+$"), AfterValidator(_scope)]] = Field(
        default_factory=list, description="Scopes to ask for; none: what the client has."
    )
    extra_parameters: dict[NonEmpty, SecretStr] = Field(
        default_factory=dict,
        description="More parameters of the request, such as `audience`. `<name>_file` reads a value from a file.",
    )
    refresh_buffer_seconds: PositiveSeconds = Field(
        default=300,
        description="A token is replaced so long before it expires, but not before 70 % of its life have passed.",
    )
    reissue: Literal["keeps", "revokes"] = Field(
        default="keeps", description="Whether an old token lives on when the server issues a new one."
    )


def _faults(auth: Document) -> Iterator[Fault]:
    grant = auth.get("grant", "client_credentials")
    if auth.get("token_url") is None and auth.get("issuer_url") is None:
        yield Fault(("token_url",), "required (or issuer_url)")
    if auth.get("token_url") is not None and auth.get("issuer_url") is not None:
        yield Fault(("issuer_url",), "given together with token_url; keep one of them")
    for key in auth:
        others = [name for name, model in _GRANTS.items() if key in model.model_fields]
        if others and grant not in others:
            yield Fault((key,), f"belongs to grant {' or '.join(others)}, not to {grant}")
    parameters = auth.get("extra_parameters")
    if isinstance(parameters, dict):
        yield from (Fault(("extra_parameters", *at), message) for at, message in read_member_files(parameters))
        for name in sorted(_OWN_PARAMETERS.intersection(parameters)):
            yield Fault(("extra_parameters", name), "is set by the bridge")


def _jwt_faults(auth: Document) -> Iterator[Fault]:
    yield from _faults(auth)
    if auth.get("client_secret") is not None and auth.get("client_id") is None:
        yield Fault(("client_id",), "required with client_secret")
    path, algorithm = auth.get("private_key_file"), auth.get("algorithm", "RS256")
    if not isinstance(path, str | Path) or algorithm not in ("RS256", "ES256"):
        return
    try:
        load_signing_key(Path(path).read_bytes(), algorithm)
    except OSError as error:
        shown = f" ({path})" if Path(path).is_absolute() else ""  # else it may be the key, put here by mistake
        yield Fault(("private_key_file",), f"cannot be read: {error.strerror or 'unknown error'}{shown}")
    except ValueError as error:
        yield Fault(("private_key_file",), str(error))


def _copied(auth: Document) -> dict[str, Any]:
    """A copy, down to the extra parameters: their files are read into them."""
    document = dict(auth)
    if isinstance(document.get("extra_parameters"), Mapping):
        document["extra_parameters"] = dict(document["extra_parameters"])
    return document


class ClientCredentialsAuth(_Auth):
    """The client's own id and secret (RFC 6749 §4.4)."""

    grant: Literal["client_credentials"] = Field(default="client_credentials", description="The OAuth grant.")
    client_id: NonEmpty = Field(description="The OAuth client's id.")
    client_secret: SecretStr = Field(min_length=1, description="The OAuth client's secret.")
    client_secret_file: Path | None = Field(default=None, description="File that holds the secret.")
    request_body: Literal["form", "json"] = Field(
        default="form", description="How the request is written; `json` where a platform wants that."
    )
    _checked = checked(_faults, secrets=("client_secret",), prepare=_copied)


class PasswordAuth(_Auth):
    """A user's name and password beside the client's (RFC 6749 §4.3): access keys of NICE CXone."""

    grant: Literal["password"] = Field(description="The OAuth grant.")
    username: NonEmpty = Field(description="The user's name; on CXone the access key's id.")
    password: SecretStr = Field(min_length=1, description="The password; on CXone the access key's secret.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    client_id: NonEmpty = Field(description="The OAuth client's id; on CXone the application's.")
    client_secret: SecretStr = Field(min_length=1, description="The OAuth client's secret.")
    client_secret_file: Path | None = Field(default=None, description="File that holds the secret.")
    request_body: Literal["form", "json"] = Field(
        default="form", description="How the request is written; `json` where a platform wants that."
    )
    _checked = checked(_faults, secrets=("client_secret", "password"), prepare=_copied)


class JwtBearerAuth(_Auth):
    """An assertion that the bridge signs (RFC 7523 §2.1)."""

    grant: Literal["jwt_bearer"] = Field(description="The OAuth grant.")
    private_key_file: Path = Field(
        description="PEM file with the private key, not encrypted; read again for every request."
    )
    algorithm: Literal["RS256", "ES256"] = Field(
        default="RS256", description="RS256 needs an RSA key of at least 2048 bits, ES256 a P-256 key."
    )
    kid: NonEmpty | None = Field(default=None, description="The key's id in the assertion's header; null: none.")
    issuer: NonEmpty = Field(description="The assertion's `iss`: whose key it is, often the client id.")
    subject: NonEmpty = Field(description="The assertion's `sub`: for whom the token is.")
    audience: NonEmpty | None = Field(
        default=None, description="The assertion's `aud`; null: the URL of the token endpoint."
    )
    assertion_lifetime_seconds: int = Field(
        default=60, ge=10, le=300, description="`exp` minus `iat` of the assertion; each is used once."
    )
    client_id: NonEmpty | None = Field(default=None, description="The OAuth client's id, where the platform wants it.")
    client_secret: SecretStr | None = Field(
        default=None, min_length=1, description="The OAuth client's secret, where the platform wants it."
    )
    client_secret_file: Path | None = Field(default=None, description="File that holds the secret.")
    _checked = checked(_jwt_faults, secrets=("client_secret",), prepare=_copied)


_GRANTS: Mapping[str, type[_Auth]] = {
    "client_credentials": ClientCredentialsAuth,
    "password": PasswordAuth,
    "jwt_bearer": JwtBearerAuth,
}


def _by_grant(document: Any) -> Any:  # noqa: ANN401  # whatever the file holds
    """Let the one model check the document that its grant names, so that paths and faults are that model's alone."""
    if isinstance(document, _Auth):
        return document
    if not isinstance(document, Mapping):
        raise ValueError("should be a mapping")  # noqa: TRY004  # pydantic wants a ValueError
    model = _GRANTS.get(str(document.get("grant", "client_credentials")))
    if model is None:
        raise as_validation_error("auth", [Fault(("grant",), f"should be one of {', '.join(_GRANTS)}")])
    return model.model_validate(document)


AuthSettings = Annotated[ClientCredentialsAuth | PasswordAuth | JwtBearerAuth, BeforeValidator(_by_grant)]
