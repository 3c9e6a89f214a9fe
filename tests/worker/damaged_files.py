"""Files of activations with any damage, and how they are read."""

import zipfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from contract.schemas import ProblemError
from tests.worker import files
from tests.worker.bad_archives import UNPACKED, labelled
from tests.worker.bad_tensors import tensor, tensors
from tests.worker.files import archive, npy, safetensors
from worker.activations import open_activations

SEEDS = [
    archive(files.good_members()),
    archive(files.good_members(), zipfile.ZIP_DEFLATED),
    archive({**files.good_members(), "layers.npy": npy(np.array(["layer"]))}),
    labelled(np.array(["cat", "dog"] * 3)),
    safetensors(*files.good_tensors()),
    tensors(__metadata__={"layers": '["layer"]', "classes": '["a", "b"]'}),
    tensors(layer=tensor([4, 4], 32, 64, "BF16")),
]

MUTATION = st.one_of(
    st.tuples(st.just("set"), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("cut"), st.floats(0, 1), st.binary(max_size=0)),
    st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("repeat"), st.floats(0, 1), st.binary(max_size=0)),
)


def mutated(content: bytes, mutations: list[tuple[str, float, bytes]]) -> bytes:
    for kind, place, data in mutations:
        at = int(place * len(content))
        if kind == "set":
            content = content[:at] + data + content[at + len(data) :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "insert":
            content = content[:at] + data + content[at:]
        else:
            content = content[:at] + content[at // 2 :]
    return content


def read_all(path: Path) -> None:
    """Read a file whole; nothing may come of it but arrays that fit together or a problem of the client's."""
    try:
        file = open_activations(path, max_unpacked_bytes=UNPACKED)
        rows = {len(layer.load()) for layer in file.layers.values()}
        file.inspection().model_dump_json()
    except ProblemError as error:
        problem = error.problem
    else:
        assert rows == {len(file.codes)}
        return
    assert 400 <= problem.status < 500
    problem.to_bytes()
