"""A GPU whose memory is too small: smaller tiles, then the CPU where it may; it is said, the report stays the same."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contract.schemas import AnalysisRequest, ProblemError
from hpcore import _mst_cuda, spanning_tree
from hpcore.errors import OutOfMemory
from worker.analysis import analyze
from worker.gpu_memory import Fit, where_it_fits

WIDE = 12  # features of the layer that does not fit


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    """Two layers, of two splits, so that the splits are compared too."""
    rng, labels = np.random.default_rng(5), np.repeat([0, 1], 24)
    paths = {}
    for split in ("train", "validation"):
        paths[f"sha256:{split[0]}" + "a" * 63] = tmp_path / f"{split}.npz"
        narrow, wide = (rng.normal(size=(48, width)).astype(np.float32) + labels[:, None] for width in (3, WIDE))
        np.savez(tmp_path / f"{split}.npz", labels=labels, narrow=narrow, wide=wide)
    paths = {"sha256:" + str(number) * 64: path for number, path in enumerate(paths.values())}

    def made(device: str) -> tuple[AnalysisRequest, dict[str, Path]]:
        inputs = [
            {"artifact": name, "split": split} for name, split in zip(paths, ("train", "validation"), strict=True)
        ]
        tests = {"n_resamples": 99, "shift": True}
        return AnalysisRequest.model_validate({"inputs": inputs, "tests": tests, "device": device}), paths

    return made


@pytest.fixture
def refusals() -> float:
    """How often in turn the wide layer does not fit; for ever."""
    return math.inf


@pytest.fixture
def small_gpu(monkeypatch: pytest.MonkeyPatch, refusals: float) -> list[int]:
    """A GPU, computed by PyTorch on the CPU, that has no room for rows of the wide layer; the rows of every try."""
    tried: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(spanning_tree, "_has_nvidia_driver", lambda: True)

    def blocks(device: str, points: Any, exponent: int) -> _mst_cuda.CudaBlocks:
        assert device == "cuda"
        if points.rows.shape[1] == WIDE:
            tried.append(len(points.rows))
        if points.rows.shape[1] == WIDE and len(tried) % (refusals + 1):
            with _mst_cuda._out_of_memory_is_ours():
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return _mst_cuda.CudaBlocks(points.rows, exponent, "cpu")

    monkeypatch.setattr(spanning_tree, "blocks_on", blocks)
    return tried


def test_auto_goes_to_the_cpu_and_says_so(request_of: Any, small_gpu: list[int]) -> None:
    expected, plain = analyze(*request_of("cpu"))
    assert (plain, small_gpu) == ("cpu", [])
    report, device = analyze(*request_of("auto"))
    assert device.startswith("cpu+cuda; 2 of 4 layers were measured on the CPU")
    assert "the splits were compared on the CPU" in device
    assert len(small_gpu) >= 3 * 5, "tiles of 4096 down to 256 rows were tried first"
    expected_bytes = expected.to_bytes().replace(b'"device":"cpu"', b'"device":"auto"')
    assert report.to_bytes() == expected_bytes


@pytest.mark.parametrize("refusals", [2])
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_smaller_tiles_are_said_and_change_nothing(request_of: Any, small_gpu: list[int], device: str) -> None:
    expected, _ = analyze(*request_of("cpu"))
    report, said = analyze(*request_of(device))
    assert said == (
        "cuda; 2 of 4 layers were measured in smaller tiles, for the GPU's memory is small; "
        "the splits were compared in smaller tiles, for the GPU's memory is small"
    )
    assert len(small_gpu) % 3 == 0, "the third size fitted"
    assert report.to_bytes() == expected.to_bytes().replace(b'"device":"cpu"', f'"device":"{device}"'.encode())


def test_other_warnings_still_reach_the_log(request_of: Any) -> None:
    def work(request: AnalysisRequest) -> str:
        warnings.warn("a part of numpy", RuntimeWarning, stacklevel=1)
        return request.device

    with pytest.warns(RuntimeWarning, match="a part of numpy"):
        assert where_it_fits(request_of("cpu")[0], work) == ("cpu", Fit())


def test_a_device_that_was_asked_for_is_not_left(request_of: Any, small_gpu: list[int]) -> None:
    with pytest.raises(ProblemError) as caught:
        analyze(*request_of("cuda"))
    assert caught.value.problem.code == "out_of_memory"


def test_the_cpu_has_nowhere_to_go(request_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[NDArray[Any]] = []

    def no_room(activations: NDArray[Any], *_: Any, **__: Any) -> None:
        tried.append(activations)
        raise OutOfMemory("`memory_budget` must be at least 1000 bytes")

    monkeypatch.setattr("worker.measuring.measure_layer", no_room)
    with pytest.raises(ProblemError) as caught:
        analyze(*request_of("auto"))
    assert (caught.value.problem.code, len(tried)) == ("out_of_memory", 1)
