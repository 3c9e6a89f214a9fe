"""How a client of either kind is set up."""

import os
from typing import Any

import httpx

from interlayer.errors import ServiceUnreachable, UsageError

_CONNECT_SECONDS = 10.0


def options(url: str | None, key: str | None, timeout: float) -> dict[str, Any]:
    """Return what both of httpx's clients take: address and key, by default those of the environment.

    Raises
    ------
    ServiceUnreachable, UsageError
        No service is named; the address or the key cannot be one.
    """
    url = url or os.environ.get("INTERLAYER_SERVER")
    key = key or os.environ.get("INTERLAYER_KEY")
    if not url:
        raise ServiceUnreachable(
            "no service is named: set INTERLAYER_SERVER and INTERLAYER_KEY, or start one here with `interlayer up`"
        )
    if not key:
        raise ServiceUnreachable(f"no API key for {url[:40]}: set INTERLAYER_KEY; `interlayer up` prints one")
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"the address of the service must start with http:// or https://, not {url[:40]!r}")
    if not (key.isascii() and key.isprintable()):
        raise UsageError("the API key has characters that no key has; copy it again")
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {key.strip()}"},
        "timeout": httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
    }
