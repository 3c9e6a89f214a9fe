"""Large files arrive whole, whatever breaks on the way, and never twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from interlayer.client import uploads
from interlayer.errors import InterlayerError, RequestRefused, ServiceUnreachable
from tests.interlayer.client.scripted import Either, TusService, refused

Make = Callable[[Any], Either]
CONTENT = bytes(range(256)) * 40
PART = 3000
LOST = httpx.ReadError("reset")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of four parts."""
    monkeypatch.setattr(uploads, "SMALL_BYTES", 1000)
    monkeypatch.setattr(uploads, "PART_BYTES", PART)
    path = tmp_path / "run.npz"
    path.write_bytes(CONTENT)
    return path


def sent(service: TusService) -> int:
    return sum(line.startswith("PATCH") for line in service.log)


def test_a_large_file_goes_in_parts_and_a_known_one_not_at_all(either: Make, file: Path, cache: Path) -> None:
    service, progress = TusService(), []
    artifact = either(service)("upload", file, on_progress=lambda *numbers: progress.append(numbers))
    assert list(service.kept.values()) == [CONTENT]
    assert artifact.bytes == len(CONTENT)
    assert progress == [(offset, len(CONTENT)) for offset in (0, 3000, 6000, 9000, 10240)]
    assert list((cache / "interlayer" / "uploads").iterdir()) == []
    log = len(service.log)
    assert either(service)("upload", file).id == artifact.id
    assert service.log[log:] == ["GET /v1/artifacts"]


def test_a_small_file_goes_at_once(either: Make, tmp_path: Path) -> None:
    path, service = tmp_path / "small.npz", TusService()
    path.write_bytes(b"PK")
    either(service)("upload", path)
    assert service.log == ["GET /v1/artifacts", "PUT /v1"]
    assert list(service.kept.values()) == [b"PK"]


FAULTS: dict[str, tuple[list[Any], list[Any], int]] = {
    # before a part is taken, after it, parts sent in the end
    "a lost request": ([None, LOST], [], 5),
    "a lost answer": ([], [None, LOST], 4),
    "a lost last answer": ([], [None, None, None, LOST], 4),
    "every answer is lost": ([], [LOST] * 4, 4),
    "a restart of the service": ([httpx.ConnectError("refused"), refused("not_ready")], [], 6),
    "our own broken connection still holds it": ([None, httpx.Response(423), httpx.Response(423)], [], 6),
    "damage on the way": ([httpx.Response(460)], [], 5),
    "another offset than we think": ([httpx.Response(409)], [], 5),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_upload_survives(either: Make, file: Path, pauses: list[float], name: str) -> None:
    before, after, parts = FAULTS[name]
    service = TusService()
    service.before, service.after = list(before), list(after)
    either(service)("upload", file)
    assert list(service.kept.values()) == [CONTENT]
    assert len(service.uploads) == 1
    assert sent(service) == parts
    assert len(pauses) == len([fault for fault in [*before, *after] if fault is not None])


def test_a_new_process_goes_on_where_the_old_one_stopped(either: Make, file: Path, pauses: list[float]) -> None:
    service = TusService()
    service.before = [None, None, *[LOST] * 4]
    with pytest.raises(ServiceUnreachable):
        either(service)("upload", file)
    service.log.clear()
    either(service)("upload", file)
    assert list(service.kept.values()) == [CONTENT]
    assert service.log[:2] == ["GET /v1/artifacts", "HEAD /v1/uploads"]
    assert sent(service) == 2, "only what had not arrived"


def test_an_upload_that_expired_meanwhile_starts_over(either: Make, file: Path, pauses: list[float]) -> None:
    service = TusService()
    service.before = [None, *[LOST] * 4]
    with pytest.raises(ServiceUnreachable):
        either(service)("upload", file)
    service.uploads.clear()
    either(service)("upload", file)
    assert list(service.kept.values()) == [CONTENT]


def test_another_service_knows_nothing_of_it(either: Make, file: Path, cache: Path) -> None:
    note = uploads._Note("http://other.example", "0" * 64)
    note.write("/v1/uploads/elsewhere")
    service = TusService()
    either(service)("upload", file)
    assert not any(line.startswith("HEAD") for line in service.log)
    assert note.read() == "/v1/uploads/elsewhere"


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(either: Make, file: Path, cache: Path) -> None:
    cache.write_text("a file where a folder should be")
    service = TusService()
    either(service)("upload", file)
    assert list(service.kept.values()) == [CONTENT]


def test_a_refused_part_ends_the_upload(either: Make, file: Path) -> None:
    service = TusService()
    service.before = [None, refused("checksum_mismatch")]
    with pytest.raises(RequestRefused, match="checksum_mismatch"):
        either(service)("upload", file)
    assert sent(service) == 2


def test_a_file_that_shrinks_meanwhile_is_noticed(either: Make, file: Path) -> None:
    service = TusService()
    with pytest.raises(InterlayerError, match="shorter"):
        either(service)("upload", file, on_progress=lambda offset, _: offset and file.write_bytes(b"x"))
    assert service.kept == {}
