"""Files of a data set that the user has, plain or gzip."""

import gzip
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from interlayer.errors import UsageError


def find(folders: Sequence[Path], name: str, data_set: str, expected: Iterable[str]) -> Path:
    """Return the file of that name, or say which files the data set is made of."""
    for folder in folders:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise UsageError(
        f"there is no {name} (or {name}.gz) in {folders[0]}; {data_set} is these files: {', '.join(expected)}"
    )


def content(path: Path) -> bytes:
    """Return what a file holds, unpacked."""
    stored = path.read_bytes()
    if path.suffix != ".gz":
        return stored
    try:
        return gzip.decompress(stored)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be unpacked: {error}") from error
