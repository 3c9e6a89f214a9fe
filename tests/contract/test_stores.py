"""A folder and a bucket keep the same promises."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from contract.blobs import Blobs
from contract.settings import Settings

LARGE = 20 * 2**20 + 3  # three parts of a bucket, the last of them short


@pytest.fixture
def blobs(anywhere: Settings) -> Blobs:
    return Blobs.open(anywhere)


def kept(blobs: Blobs, content: bytes, tenant: str = "a") -> str:
    with blobs.writer() as writer:
        writer.write(content)
        key = blobs.artifact(tenant, writer.sha256())
        writer.keep(key)
    return key


def content_of(blobs: Blobs, key: str, start: int = 0) -> bytes:
    return b"".join(bytes(block) for block in blobs.store.blocks(key, start))


@pytest.mark.parametrize("size", [1, 8 * 2**20, LARGE])
def test_what_is_kept_comes_back_whole_or_from_a_byte_on(blobs: Blobs, size: int) -> None:
    content = os.urandom(size)
    key = kept(blobs, content)
    assert content_of(blobs, key) == content
    assert blobs.read(key) == content
    assert content_of(blobs, key, size - 1) == content[-1:]
    assert list(blobs.temporary.iterdir()) == [], "nothing is left on this host"


def test_a_file_that_is_not_there(blobs: Blobs) -> None:
    key = blobs.artifact("a", "ab" * 32)
    assert not blobs.exists(key)
    assert blobs.store.modified(key) is None
    with pytest.raises(FileNotFoundError):
        blobs.read(key)
    with pytest.raises(FileNotFoundError):
        content_of(blobs, key)
    blobs.store.delete(key)


def test_a_deleted_file_is_gone_for_its_tenant_alone(blobs: Blobs) -> None:
    mine, theirs = kept(blobs, b"content"), kept(blobs, b"content", "b")
    blobs.store.delete(mine)
    assert (blobs.exists(mine), blobs.exists(theirs)) == (False, True)
    assert [file.key for file in blobs.store.files("artifacts")] == [theirs]


def test_files_are_listed_by_folder_with_their_age(blobs: Blobs) -> None:
    assert list(blobs.store.files("reports")) == []
    before = time.time()
    kept(blobs, b"an upload")
    sha256 = blobs.put_report(b"a report")
    (file,) = blobs.store.files("reports")
    assert file.key == blobs.report(sha256)
    assert before - 2 < file.modified < time.time() + 2, "whole seconds, of another clock"


def test_what_is_stored_again_is_new_again(blobs: Blobs) -> None:
    key = kept(blobs, b"content")
    first = blobs.store.modified(key)
    assert first is not None
    path = blobs.store.path(key)
    if path is None:
        time.sleep(1.1)  # the store counts in seconds
    else:
        os.utime(path, (first - 100, first - 100))
    assert kept(blobs, b"content") == key
    again = blobs.store.modified(key)
    assert again is not None
    assert again > (first if path is None else first - 100)


def test_what_is_not_kept_leaves_nothing(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(b"content")
    assert list(blobs.store.files("artifacts")) == []
    assert list(blobs.temporary.iterdir()) == []


def test_a_file_that_has_gone_before_it_is_kept(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        blobs.store.keep(tmp_path / "gone", blobs.report(hashlib.sha256(b"").hexdigest()))


def test_a_store_that_answers_has_no_trouble(blobs: Blobs) -> None:
    assert blobs.trouble() is None
