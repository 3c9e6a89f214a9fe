"""What a request prefers (RFC 7240)."""

_LONGEST_WAIT_SECONDS = 60.0


def preferred_wait(prefer: str | None) -> float:
    """Return the seconds that a `Prefer` header lets a request wait, as far as requests may."""
    for item in (prefer or "").split(","):
        name, _, value = item.strip().partition("=")
        if name == "wait" and value.isdecimal():
            return min(float(value), _LONGEST_WAIT_SECONDS)
    return 0.0
