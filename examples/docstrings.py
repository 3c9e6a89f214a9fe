"""Text: which library is this docstring from? A bag-of-words network, and what each of its layers adds.

The texts are the docstrings of libraries that are installed here anyway. Their sources are read, not imported.
"""

import ast
import re
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from interlayer.local import LocalInput, analyze
from interlayer.record import record
from interlayer.render.terminal import print_report

LIBRARIES = ("numpy", "scipy", "sqlalchemy", "torch")
N_DOCSTRINGS = 400  # of each library
N_BUCKETS = 1024


def main(folder: Path = Path(), n_docstrings: int = N_DOCSTRINGS) -> None:
    """Train on half of the docstrings, and analyse the network on both halves."""
    texts = {library: list(islice(docstrings(library), n_docstrings)) for library in LIBRARIES}
    words = torch.stack([bag_of_words(text) for library in LIBRARIES for text in texts[library]])
    labels = np.repeat(LIBRARIES, n_docstrings)
    order = np.random.default_rng(0).permutation(len(labels))
    halves = {"train": order[::2], "validation": order[1::2]}

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(N_BUCKETS, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, len(LIBRARIES))
    )
    fit(network, words[halves["train"]], labels[halves["train"]])

    inputs = []
    for split, rows in halves.items():
        path = folder / f"docstrings-{split}.safetensors"
        record(network, [(words[rows], labels[rows])], path)  # labels may be words too
        inputs.append(LocalInput(path, split=split))
    print_report(analyze(inputs, {"metric": "cosine"}), Console())


def docstrings(library: str) -> Iterator[str]:
    """Give the docstrings of a library, its own name left out of them."""
    spec = find_spec(library)
    assert spec is not None
    assert spec.origin is not None
    for source in sorted(Path(spec.origin).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                text = re.sub(library, "", text, flags=re.IGNORECASE)
                if len(text.split()) >= 20:
                    yield text


def bag_of_words(text: str) -> torch.Tensor:
    """Give how often the words of a text occur, in buckets, on a scale that frequent words do not rule."""
    buckets = [zlib.crc32(word.encode()) % N_BUCKETS for word in re.findall(r"[a-z]+", text.lower())]
    counts: NDArray[np.int64] = np.bincount(buckets, minlength=N_BUCKETS)
    return torch.from_numpy(np.log1p(counts).astype(np.float32))


def fit(network: nn.Sequential, words: torch.Tensor, labels: NDArray[np.str_]) -> None:
    """Train for some epochs."""
    codes = torch.from_numpy(np.searchsorted(LIBRARIES, labels))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(words, codes), batch_size=64, shuffle=True)
    for _ in range(10):
        for batch, wanted in loader:
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(network(batch), wanted))
            optimizer.step()


if __name__ == "__main__":
    main()
