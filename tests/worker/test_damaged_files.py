"""Any file at all is read, or refused with a problem of the client's."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.bad_archives import with_members
from tests.worker.damaged_files import MUTATION, SEEDS, mutated, read_all
from tests.worker.files import npy_with_header


@given(seed=st.sampled_from(SEEDS), mutations=st.lists(MUTATION, max_size=4))
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, seed: bytes, mutations: list[tuple[str, float, bytes]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(mutated(seed, mutations))
    read_all(path)


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_every_single_byte_may_be_damaged(tmp_path: Path, number: int) -> None:
    path, seed = tmp_path / "damaged", SEEDS[number]
    for at, value in enumerate(seed):
        path.write_bytes(seed[:at] + bytes([0xFF if at % 2 else value ^ 0x20]) + seed[at + 1 :])
        read_all(path)


@given(header=st.text(st.characters(max_codepoint=255), max_size=60) | st.text("{}[]()'\",:-1L \n#", max_size=60))
def test_any_text_may_be_the_header_of_an_array(tmp_path_factory: pytest.TempPathFactory, header: str) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(with_members(layer=npy_with_header(header, bytes(48))))
    read_all(path)
