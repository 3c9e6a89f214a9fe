"""The colours of separation 0 to 1 (viridis: even steps for every kind of colour vision), the same light and dark."""

import base64
import struct
import zlib
from collections.abc import Sequence

_ANCHORS = (
    "440154", "482475", "414487", "355f8d", "2a788e", "21918c", "22a884", "44bf70", "7ad151", "bddf26", "fde725",
)  # fmt: skip
N_LEVELS = 21  # steps of 0.05
_Colour = tuple[int, int, int]


def level(value: float) -> int:
    """Return the step of a value; what lies outside 0 to 1 keeps the end colour."""
    return round(min(1.0, max(0.0, value)) * (N_LEVELS - 1))


def colours() -> list[_Colour]:
    """Return the colour of every step."""
    anchors = [tuple(bytes.fromhex(code)) for code in _ANCHORS]
    found = []
    for step in range(N_LEVELS):
        place = step / (N_LEVELS - 1) * (len(anchors) - 1)
        left = min(int(place), len(anchors) - 2)
        low, high = anchors[left], anchors[left + 1]
        red, green, blue = (round(a + (b - a) * (place - left)) for a, b in zip(low, high, strict=True))
        found.append((red, green, blue))
    return found


def rules() -> str:
    """Return the style of the cells `.h0` … `.h20`, with black or white text, whichever stands out more."""
    written = []
    for step, colour in enumerate(colours()):
        text = "#fff" if is_dark(step) else "#000"
        written.append(f".h{step}{{background:#{bytes(colour).hex()};color:{text}}}")
    return "".join(written)


def is_dark(step: int) -> bool:
    """Whether white text stands out more on a step than black."""
    return _luminance(colours()[step]) < 0.179  # equal contrast with black and white


def _luminance(colour: _Colour) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def image(rows: Sequence[Sequence[float | None]]) -> str:
    """Return a matrix as the data address of a PNG, one pixel for each value, transparent where there is none."""
    lines = b"".join(b"\0" + bytes(N_LEVELS if value is None else level(value) for value in row) for row in rows)
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 3, 0, 0, 0)
    palette = b"".join(bytes(colour) for colour in (*colours(), (0, 0, 0)))
    chunks = (
        (b"IHDR", header), (b"PLTE", palette), (b"tRNS", b"\xff" * N_LEVELS + b"\0"),
        (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""),
    )  # fmt: skip
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()
