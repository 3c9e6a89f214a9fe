"""Files are complete or not there."""

import hashlib
from pathlib import Path

import pytest

from contract.blobs import Blobs, Partial


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_report_is_stored_under_its_digest(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    sha256 = blobs.put_report(b"{}\n")
    assert sha256 == hashlib.sha256(b"{}\n").hexdigest()
    assert blobs.read(blobs.report(sha256)) == b"{}\n"
    assert files_below(tmp_path) == [tmp_path / blobs.report(sha256)]
    assert blobs.put_report(b"{}\n") == sha256, "the same report again is the same file"


def test_the_digest_and_size_are_those_of_all_chunks(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    chunks = [b"a" * 100_000, b"", b"b", bytes(range(256))]
    with blobs.writer() as writer:
        for chunk in chunks:
            writer.write(chunk)
        sha256 = writer.sha256()
        writer.keep(blobs.artifact("tenant", sha256))
    content = b"".join(chunks)
    assert (sha256, writer.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert blobs.read(blobs.artifact("tenant", sha256)) == content


def test_nothing_is_seen_before_it_is_kept(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    with blobs.writer() as writer:
        writer.write(b"x")
        assert not blobs.exists(blobs.artifact("tenant", writer.sha256()))


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)

    def upload_that_breaks_off() -> None:
        with blobs.writer() as writer:
            writer.write(b"half a file")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        upload_that_breaks_off()
    assert files_below(tmp_path) == []


def test_a_file_that_is_not_kept_leaves_nothing(tmp_path: Path) -> None:
    with Blobs(tmp_path).writer() as writer:
        writer.write(b"never kept")
    assert files_below(tmp_path) == []


def test_tenants_have_folders_of_their_own(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    assert blobs.artifact("a", "00" * 32) != blobs.artifact("b", "00" * 32)


def test_half_written_files_are_nobodys_business(tmp_path: Path) -> None:
    Blobs(tmp_path)
    assert (tmp_path / "tmp").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_link_in_the_place_of_an_upload_is_no_upload(tmp_path: Path, link: str) -> None:
    blobs, secret = Blobs(tmp_path / "data"), tmp_path / "secret"
    secret.write_bytes(b"not for clients")
    getattr(blobs.partial("up_1"), link)(secret)
    with pytest.raises(FileNotFoundError):
        Partial(blobs.partial("up_1"))
    assert secret.read_bytes() == b"not for clients"


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path, link: str) -> None:
    blobs, secret = Blobs(tmp_path / "data"), tmp_path / "secret"
    secret.write_bytes(b"not for clients")
    with blobs.writer() as writer:
        writer.write(b"a file")
        target = blobs.root / blobs.artifact("a", writer.sha256())
        target.parent.mkdir(parents=True)
        getattr(target, link)(secret)
        writer.keep(blobs.artifact("a", writer.sha256()))
    assert not target.is_symlink()
    assert target.read_bytes() == b"a file"
    assert secret.read_bytes() == b"not for clients"
