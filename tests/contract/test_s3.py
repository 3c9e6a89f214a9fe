"""A store that refuses, stalls, tears or lies: an error in time that says what is wrong, never a torn file."""

import hashlib
import os
from pathlib import Path

import pytest

from contract.blobs import Blobs
from contract.s3 import Bucket
from contract.settings import Settings
from contract.stores import StoreUnavailable
from tests.faulty_proxy import Fault, FaultyProxy
from tests.seaweed import SECRET_KEY, Seaweed, variables

CONTENT = os.urandom(3 * 8 * 2**20)


@pytest.fixture
def blobs(faulty: FaultyProxy, bucket_url: str, settings: Settings) -> Blobs:
    """The files of an installation, behind the proxy."""
    return Blobs.open(settings.model_copy(update={"blobs_url": bucket_url}))


def kept(blobs: Blobs, content: bytes) -> str:
    with blobs.writer() as writer:
        writer.write(content)
        key = blobs.artifact("a", writer.sha256())
        writer.keep(key)
    return key


def content_of(blobs: Blobs, key: str) -> bytes:
    return b"".join(bytes(block) for block in blobs.store.blocks(key))


@pytest.mark.parametrize("fault", ["refuse", "slow"])
def test_what_passes_by_itself_is_not_noticed(blobs: Blobs, faulty: FaultyProxy, fault: Fault) -> None:
    faulty.first(3, fault)
    key = kept(blobs, CONTENT)
    faulty.first(3, fault)
    assert content_of(blobs, key) == CONTENT
    assert fault in {each.fault for each in faulty.seen}


def test_an_answer_that_is_torn_is_asked_for_again(blobs: Blobs, faulty: FaultyProxy) -> None:
    key = kept(blobs, CONTENT)
    faulty.first(2, "reset", "GET")
    assert content_of(blobs, key) == CONTENT
    assert [each.fault for each in faulty.seen].count("reset") == 2


@pytest.mark.parametrize("size", [10, len(CONTENT)])
def test_a_store_that_refuses_is_not_waited_for_and_keeps_nothing(
    blobs: Blobs, faulty: FaultyProxy, bucket_url: str, size: int
) -> None:
    faulty.always("refuse", "PUT")
    with pytest.raises(StoreUnavailable, match=f"{bucket_url}: it answers 503"):
        kept(blobs, CONTENT[:size])
    faulty.heal()
    assert list(blobs.store.files("artifacts")) == []
    assert list(blobs.temporary.iterdir()) == []


def test_the_parts_of_an_upload_that_fails_are_given_up(
    blobs: Blobs, faulty: FaultyProxy, bucket_url: str, seaweed: Seaweed
) -> None:
    faulty.rule = lambda method, path: "forbid" if method == "PUT" and "partNumber=2" in path else None
    with pytest.raises(StoreUnavailable, match="denies access"):
        kept(blobs, CONTENT)
    faulty.heal()
    assert any(each.method == "DELETE" and "uploadId" in each.path for each in faulty.seen)
    assert seaweed.multipart_uploads(bucket_url) == []
    assert kept(blobs, CONTENT), "and it works the next time"


def test_bytes_that_change_on_their_way_are_refused_by_the_store(blobs: Blobs, faulty: FaultyProxy) -> None:
    faulty.always("corrupt request", "PUT")
    with pytest.raises(StoreUnavailable):
        kept(blobs, CONTENT[:1000])
    faulty.heal()
    assert list(blobs.store.files("artifacts")) == []


def test_a_report_of_other_bytes_is_not_shown(blobs: Blobs, faulty: FaultyProxy) -> None:
    sha256 = blobs.put_report(b"a report")
    faulty.always("corrupt", "GET")
    with pytest.raises(StoreUnavailable, match="other bytes"):
        blobs.read(blobs.report(sha256))
    faulty.heal()
    assert blobs.read(blobs.report(sha256)) == b"a report"


def test_a_store_that_damaged_a_file_is_healed_by_the_same_upload(blobs: Blobs, tmp_path: Path) -> None:
    key = kept(blobs, b"content")
    (tmp_path / "other").write_bytes(b"CONTENT")
    blobs.store.keep(tmp_path / "other", key)
    with pytest.raises(StoreUnavailable):
        blobs.read(key)
    assert kept(blobs, b"content") == key
    assert blobs.read(key) == b"content"


def test_a_store_that_is_away(settings: Settings, bucket_url: str) -> None:
    with variables({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}):
        blobs = Blobs.open(settings.model_copy(update={"blobs_url": bucket_url}))
    assert blobs.trouble() == "it does not answer"
    key = blobs.report("ab" * 32)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        blobs.read(key)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        blobs.exists(key)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        list(blobs.store.files("reports"))


def test_wrong_credentials_are_named_and_not_told(settings: Settings, bucket_url: str, seaweed: Seaweed) -> None:
    with variables(seaweed.environment(secret="another-secret")):
        blobs = Blobs.open(settings.model_copy(update={"blobs_url": bucket_url}))
    assert "refuses the credentials" in str(blobs.trouble())
    with pytest.raises(StoreUnavailable) as caught:
        blobs.put_report(b"a report")
    assert "refuses the credentials" in str(caught.value)
    shown = "".join(map(str, [caught.value, caught.value.__cause__, blobs.trouble()]))
    assert not {"another-secret", SECRET_KEY} & set(shown.split())


def test_a_missing_bucket_is_not_a_missing_file(settings: Settings, bucket_url: str) -> None:
    blobs = Blobs(settings.data_dir, Bucket("s3://there-is-none/prefix"))
    assert blobs.trouble() == "the bucket does not exist"
    key = blobs.report(hashlib.sha256(b"a report").hexdigest())
    for use in (lambda: blobs.read(key), lambda: blobs.exists(key), lambda: blobs.put_report(b"a report")):
        with pytest.raises(StoreUnavailable, match="the bucket does not exist"):
            use()


def test_what_hangs_is_noticed(blobs: Blobs, faulty: FaultyProxy) -> None:
    faulty.always("hang")
    assert blobs.trouble() == "it does not answer"


@pytest.mark.parametrize("url", ["http://bucket", "s3://", "s3://Bucket", "s3://key:secret@bucket", "s3://bucket?x=1"])
def test_urls_that_name_no_bucket(url: str) -> None:
    with pytest.raises(ValueError, match="blobs_url"):
        Settings(blobs_url=url)
