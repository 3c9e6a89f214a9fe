"""Opaque cursors of lists. A cursor only says where to go on; whose rows are shown is decided by the key."""

import base64
import re

from contract.schemas import ProblemError


def encode_cursor(last_id: str) -> str:
    """Return the cursor of the page after the row `last_id`."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Return the id in a cursor."""
    try:
        found = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError as error:
        raise ProblemError("invalid_cursor", "use the `next_cursor` of the page before, unchanged") from error
    if not re.fullmatch(r"(an|au|rp)_[0-9a-f]{30}", found):
        raise ProblemError("invalid_cursor", "use the `next_cursor` of the page before, unchanged")
    return found
