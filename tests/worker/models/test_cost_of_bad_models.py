"""Every bad ONNX file is refused in bounded memory and with bounded work, before a library sees it."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.worker.models import networks
from tests.worker.reading import MOST_CPU_SECONDS, MOST_MEMORY, Cost, costs_of_reading

_OPENING = """
from worker.models.onnx_scan import scan_onnx as open_file
"""
Make = Callable[[Path], Path]


def _good(path: Path) -> Path:
    return networks.mlp_onnx(path, networks.seeded(networks.mlp))


def _with_entries(*entries: tuple[str, str], elsewhere: bool = True) -> Make:
    """Return what writes a file whose first constant would lie elsewhere, or only says so."""

    def make(path: Path) -> Path:
        model = onnx.load(_good(path))
        tensor = model.graph.initializer[0]
        if elsewhere:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries:
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        path.write_bytes(model.SerializeToString())
        return path

    return make


def _of(content: Callable[[Path], bytes]) -> Make:
    def make(path: Path) -> Path:
        path.write_bytes(content(path))
        return path

    return make


def _sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.write(b"\x08\x08")
        file.truncate(2**31)
    return path


def _foreign(path: Path) -> Path:
    node = helper.make_node("Gelu", ["x"], ["y"], domain="com.example")
    opsets = [helper.make_opsetid("com.example", 1)]
    return networks.mlp_onnx(path, networks.seeded(networks.mlp), nodes=[node], opsets=opsets)


def _claiming(*dims: int) -> Make:
    def make(path: Path) -> Path:
        model = onnx.load(_good(path))
        model.graph.initializer[0].dims[:] = dims
        path.write_bytes(model.SerializeToString())
        return path

    return make


# what is wrong: what writes it, and the code of the problem
ONNX: dict[str, tuple[Make, str]] = {
    "weights upwards": (_with_entries(("location", "../../../../etc/passwd")), "external_data_forbidden"),
    "weights at a path": (_with_entries(("location", "/etc/passwd")), "external_data_forbidden"),
    "weights nowhere": (_with_entries(), "external_data_forbidden"),
    "weights of a huge length": (
        _with_entries(("location", "w"), ("offset", "0"), ("length", str(2**63))), "external_data_forbidden",
    ),
    "weights before the beginning": (_with_entries(("location", "w"), ("offset", "-1")), "external_data_forbidden"),
    "keys that nobody knows": (_with_entries(("__class__", "x"), ("basepath", "/")), "external_data_forbidden"),
    "keys of a megabyte": (_with_entries(("k" * 2**20, "v" * 2**20)), "external_data_forbidden"),
    "weights in two places": (_with_entries(("location", "w"), elsewhere=False), "external_data_forbidden"),
    "an operator of others": (_foreign, "operator_unsupported"),
    "2 GiB": (_sparse, "model_too_large"),
    "nothing": (_of(lambda _: b""), "invalid_onnx"),
    "cut off": (_of(lambda path: _good(path).read_bytes()[:-50]), "invalid_onnx"),
    "graphs 10,000 deep": (_of(lambda _: networks.nested(10_000)), "invalid_onnx"),
    "8 TiB in a few bytes": (_claiming(2**40), "invalid_onnx"),
    "a shape that overflows": (_claiming(2**62, 4), "invalid_onnx"),
    "a negative shape": (_claiming(-1, 6), "invalid_onnx"),
    "500 axes": (_claiming(*[1] * 500), "invalid_onnx"),
    "a name of a megabyte": (_of(lambda _: b"\x08\x08\x3a\x84\x80\x40\x12\x80\x80\x40" + b"a" * 2**20), "invalid_onnx"),
    "a million empty fields": (_of(lambda _: b"\x08\x08" + b"\x12\x00" * 10**6), "invalid_onnx"),
}  # fmt: skip


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cost]:
    folder = tmp_path_factory.mktemp("models")
    paths = {name: make(folder / f"bad-{number}") for number, (name, (make, _)) in enumerate(ONNX.items())}
    return costs_of_reading(_OPENING, _good(folder / "good"), paths)


@pytest.mark.parametrize("name", ONNX)
def test_it_is_refused_at_little_cost(costs: dict[str, Cost], name: str) -> None:
    code, memory, seconds, afterwards = costs[name]
    assert code == ONNX[name][1]
    assert memory < MOST_MEMORY
    assert seconds < MOST_CPU_SECONDS
    assert afterwards == ""
