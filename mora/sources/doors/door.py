"""Which door a managed Prometheus has: what is asked for a token, or signs, each request to it."""

from __future__ import annotations

from importlib import import_module

from requests.auth import AuthBase

from mora.errors import BadInput
from mora.values import shows_secrets

DOORS = {
    "gcp": "mora.sources.doors.google:GoogleAuth",
    "sigv4": "mora.sources.doors.amazon:SigV4Auth",
    "entra": "mora.sources.doors.entra:EntraAuth",
}
"""prometheus.auth -> what gives its requests their credentials."""


def door(name: str, url: str, *, region: str | None = None) -> AuthBase:
    """The credentials of a cloud for the requests to one managed Prometheus. Nothing is asked for yet.

    region: of sigv4; None where the address or the environment says it. Raises BadInput for an address that would show
    the credentials to the line.
    """
    if shows_secrets(url):
        raise BadInput(
            f"prometheus.auth = {name} needs an address that begins with https://: else the token goes over the line "
            "for all to read.",
            hint="The cloud's console shows the address for queries.",
        )
    module, _, attribute = DOORS[name].partition(":")
    made: AuthBase = getattr(import_module(module), attribute)(url=url, region=region)
    return made
