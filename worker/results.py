"""Results of tasks as one file: numbers in an `.npz` without pickles, the rest as JSON beside them. Bits are kept."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import numpy as np

from hpcore import TestResult
from hpcore.layer import ClassTrees, PairBlock
from hpcore.separation import PairwiseSeparation
from hpcore.study import LayerMeasurement, StateKey
from hpcore.trend import SampleSizeTrend
from worker.arrays import Array
from worker.measuring import Measured
from worker.split_tests import SplitTests
from worker.tasks import Result, Task

_TYPES: Mapping[str, Any] = {
    each.__name__: each
    for each in (
        ClassTrees,
        LayerMeasurement,
        Measured,
        PairBlock,
        PairwiseSeparation,
        SampleSizeTrend,
        SplitTests,
        StateKey,
        TestResult,
    )
}
_CONTENT = "content"


class DamagedResult(Exception):
    """The file is not there, or is not what was stored."""


def packed(results: Mapping[Task, Result]) -> bytes:
    """Return results of tasks as the bytes of a file."""
    arrays: dict[str, Array] = {}
    content = [[asdict(task), _plain(result, arrays)] for task, result in results.items()]
    arrays[_CONTENT] = np.frombuffer(json.dumps(content).encode(), np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    return stream.getvalue()


def unpacked(file: bytes, sha256: str) -> dict[Task, Result]:
    """Return what was packed, if the bytes have this digest."""
    if hashlib.sha256(file).hexdigest() != sha256:
        raise DamagedResult(sha256)
    with np.load(io.BytesIO(file), allow_pickle=False) as arrays:
        content = json.loads(arrays[_CONTENT].tobytes())
        return {Task(**task): _restored(result, arrays) for task, result in content}


def _plain(value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        return _plain(value.item(), arrays)
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: _plain(getattr(value, field.name), arrays) for field in fields(value)}
        return {"type": type(value).__name__, "fields": own}
    if isinstance(value, tuple):
        return {"tuple": [_plain(each, arrays) for each in value]}
    if isinstance(value, list):
        return [_plain(each, arrays) for each in value]
    return value


def _restored(value: Any, arrays: Any) -> Any:
    if isinstance(value, list):
        return [_restored(each, arrays) for each in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "tuple" in value:
        return tuple(_restored(each, arrays) for each in value["tuple"])
    return _TYPES[value["type"]](**{name: _restored(each, arrays) for name, each in value["fields"].items()})
