"""What recording costs: `record` against the bare forward pass and writing the same bytes. `python -m bench.recording`.

The aim is 1.1 times the sum of both. Whoever wants float16 in the file has to make it from what the model computes, so
there the conversion, without a check and without a write, belongs to the sum; the ratio without it is given as well.
Each recording is timed in turn with its baselines, and the median decides.
Times are processor time on one thread (user and system): what else runs on the machine hardly counts.
A second baseline, `plain`, is the shortest code that does the same: forward hooks that convert and write each output to
a file of its own, and check nothing.

The bare pass runs every module: PyTorch's fused path of a transformer's layers runs none of the modules inside, so
nothing could be recorded there; its time is given beside the others (`fused`) and is not part of the ratio. What is
written is the file of the recording itself, held in memory, from its first byte to its last. Both files are new ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from interlayer.record import record
from interlayer.record.kept_rows import BLOCK_BYTES

RESULTS = Path(__file__).parent / "results"
Batches = list[tuple[Tensor, Tensor]]


def mlp() -> tuple[nn.Module, Batches]:
    """Four wide dense layers."""
    model = nn.Sequential(*[part for _ in range(4) for part in (nn.Linear(1024, 1024), nn.ReLU())], nn.Linear(1024, 10))
    return model, _batches((1024,), 128, 16)


def cnn() -> tuple[nn.Module, Batches]:
    """Six convolutions, with normalization and pooling."""
    stages: list[nn.Module] = []
    for wide, (before, after) in enumerate([(3, 32), (32, 32), (32, 64), (64, 64), (64, 96), (96, 96)]):
        stages += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        stages += [nn.MaxPool2d(2)] if wide % 2 else []
    return nn.Sequential(*stages, nn.Flatten(), nn.Linear(96 * 16, 10)), _batches((3, 32, 32), 32, 16)


def transformer() -> tuple[nn.Module, Batches]:
    """Four encoder layers over 64 tokens, all modules recorded."""
    layer = nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), _batches((64, 256), 16, 16)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Batches]]] = {"mlp": mlp, "cnn": cnn, "transformer": transformer}
VARIANTS: dict[str, dict[str, Any]] = {"every row": {}, "float16": {"dtype": "float16"}}


def _batches(shape: tuple[int, ...], size: int, count: int) -> Batches:
    return [(torch.randn(size, *shape), torch.arange(size) % 10) for _ in range(count)]


def bare(model: nn.Module, batches: Batches, *, fused: bool) -> None:
    """The forward pass alone."""
    torch.backends.mha.set_fastpath_enabled(fused)
    try:
        with torch.no_grad():
            for inputs, _ in batches:
                model(inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def writing(content: memoryview, path: Path) -> None:
    """Write what a recording holds, from memory, in blocks as large as those of the recording."""
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(content), BLOCK_BYTES):
            file.write(content[start : start + BLOCK_BYTES])


def converting(layers: list[Tensor], dtype: torch.dtype) -> None:
    """Make what is written of what was computed, in blocks that stay in the cache; nothing where both are the same."""
    for layer in layers:
        n_block = max(1, BLOCK_BYTES * len(layer) // layer.nbytes)
        for start in range(0, len(layer), n_block):
            layer[start : start + n_block].to(dtype)


def plain(model: nn.Module, batches: Batches, folder: Path, dtype: torch.dtype) -> None:
    """Hooks that write what each innermost module returns, without a check, a label or a header."""
    with ExitStack() as stack:
        for number, module in enumerate(module for module in model.modules() if not list(module.children())):
            file = stack.enter_context((folder / f"plain-{number}").open("wb", buffering=0))

            def write(_module: nn.Module, _inputs: Any, output: Any, file: Any = file) -> None:
                output = output[0] if isinstance(output, tuple) else output
                file.write(output.to(dtype).contiguous().numpy())

            stack.callback(module.register_forward_hook(write).remove)
        bare(model, batches, fused=False)


def measure(name: str, options: dict[str, Any], n_repeats: int) -> dict[str, Any]:
    """Processor seconds of each part, and the ratio, over all repeats."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, batches = NETWORKS[name]()
    model.eval()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / "recorded.safetensors"
        dtype = getattr(torch, options.get("dtype", "float32"))
        record(model, batches, path)
        layers = [layer for layer in load_file(path).values() if layer.is_floating_point()]
        record(model, batches, path, **options)
        content = memoryview(path.read_bytes())
        works: dict[str, Callable[[], object]] = {
            "forward": lambda: bare(model, batches, fused=False),
            "writing": lambda: writing(content, folder / "written"),
            "converting": lambda: converting(layers, dtype),
            "plain": lambda: plain(model, batches, folder, dtype),
            "record": lambda: record(model, batches, path, **options),
            "fused": lambda: bare(model, batches, fused=True),
        }
        times: dict[str, list[float]] = {part: [] for part in works}
        for _ in range(n_repeats):
            for part, work in works.items():
                start = time.process_time()
                work()
                times[part].append(time.process_time() - start)
                for file in folder.iterdir():
                    file.unlink()
    rounds = [dict(zip(times, values, strict=True)) for values in zip(*times.values(), strict=True)]
    return {
        "bytes": len(content),
        "seconds": {part: _summary(values) for part, values in times.items()},
        "ratio": _summary([one["record"] / (one["forward"] + one["converting"] + one["writing"]) for one in rounds]),
        "ratio_without_converting": _summary([one["record"] / (one["forward"] + one["writing"]) for one in rounds]),
        "ratio_to_plain": _summary([one["record"] / one["plain"] for one in rounds]),
    }


def _summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> None:
    """Time every network and keep the result."""
    parser = argparse.ArgumentParser(prog="python -m bench.recording", description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--network", action="append", choices=list(NETWORKS), help="only these")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "recording.json")
    arguments = parser.parse_args()
    found: dict[str, Any] = {"torch": torch.__version__, "networks": {}}
    for name in arguments.network or NETWORKS:
        for variant, options in VARIANTS.items():
            result = found["networks"][f"{name}, {variant}"] = measure(name, options, arguments.repeats)
            ratio, bare_ratio, to_plain = (
                result[name] for name in ("ratio", "ratio_without_converting", "ratio_to_plain")
            )
            parts = "   ".join(f"{part} {times['median']:.3f} s" for part, times in result["seconds"].items())
            sys.stdout.write(
                f"{f'{name}, {variant}':<24} {result['bytes'] / 2**20:6.0f} MiB   {parts}   "
                f"ratio {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})   "
                f"without converting {bare_ratio['median']:.2f}   "
                f"to plain {to_plain['median']:.2f} ({to_plain['min']:.2f} to {to_plain['max']:.2f})\n"
            )
            sys.stdout.flush()
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
