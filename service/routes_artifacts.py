"""Uploads of activations: streamed to disk, hashed on the way, opened only by a worker."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from email.message import Message
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Request, Response
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from contract.artifacts import ID_PREFIX
from contract.formats import SNIFFED_BYTES, sniff
from contract.schemas import Artifact, ProblemError
from contract.stores import StoreUnavailable
from service.bodies import counted
from service.deps import Reader, Stores, Submitter, WithStores, require_unexpired
from service.incoming import BLOCK_BYTES, pour, promised_digests, storing

router = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])
ArtifactPath = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$", examples=["sha256:" + "0f" * 32])]
_BINARY = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_FORM = {
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
        }
    }
}


@router.put(
    "",
    status_code=201,
    response_model=Artifact,
    operation_id="put_artifact",
    openapi_extra={"requestBody": {"required": True, **_BINARY}},
    responses={200: {"model": Artifact, "description": "The same bytes were uploaded before"}},
)
async def put_artifact(request: Request, response: Response, found: WithStores, caller: Submitter) -> Artifact:
    """Upload a file of activations as the raw body. Its id is the SHA-256 of its bytes."""
    if request.headers.get("content-type", "application/octet-stream").startswith(("multipart/", "text/")):
        raise ProblemError("unsupported_media_type", "PUT takes the raw bytes as application/octet-stream")
    chunks = counted(request, found.settings.max_artifact_bytes)
    digests = promised_digests(request.headers)
    artifact = await _store(found, caller.tenant, chunks, digests, _declared_size(request), response)
    name = _sent_name(request.headers.get("content-disposition"))
    await run_sync(found.artifacts.call, caller.tenant, artifact.id.removeprefix(ID_PREFIX), name)
    return artifact if name is None else artifact.model_copy(update={"name": name})


def _sent_name(disposition: str | None) -> str | None:
    """Return the file name of a Content-Disposition header (RFC 6266)."""
    message = Message()
    message["Content-Disposition"] = disposition or "inline"
    return message.get_filename()


@router.post(
    "",
    status_code=201,
    response_model=Artifact,
    operation_id="post_artifact",
    openapi_extra={"requestBody": {"required": True, **_FORM}},
    responses={200: {"model": Artifact, "description": "The same bytes were uploaded before"}},
)
async def post_artifact(request: Request, response: Response, found: WithStores, caller: Submitter) -> Artifact:
    """Upload a file of activations as the part `file` of a form. For large files PUT is quicker."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ProblemError("unsupported_media_type", "POST takes multipart/form-data; PUT takes the raw bytes")
    await run_sync(found.uploads.require_room, caller.tenant, _declared_size(request))
    stream = counted(request, found.settings.max_artifact_bytes)
    try:
        with storing():
            form = await MultiPartParser(request.headers, stream, max_files=1, max_fields=8).parse()  # type: ignore[arg-type]  # any async iterator will do
    except (MultiPartException, KeyError) as error:
        raise ProblemError("multipart_invalid", f"{error}; PUT takes the file without a form") from error
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise ProblemError("multipart_invalid", "the form has no file part named `file`")
    try:
        artifact = await _store(found, caller.tenant, _blocks(file), {}, file.size or 0, response)
        await run_sync(found.artifacts.call, caller.tenant, artifact.id.removeprefix(ID_PREFIX), file.filename)
        return artifact.model_copy(update={"name": file.filename})
    finally:
        await form.close()


async def _blocks(file: UploadFile) -> AsyncIterator[bytes]:
    while block := await file.read(BLOCK_BYTES):
        yield block


async def _store(
    found: Stores, tenant: str, chunks: AsyncIterator[bytes], digests: dict[str, bytes], size: int, response: Response
) -> Artifact:
    await run_sync(found.uploads.require_room, tenant, size)
    sha512 = hashlib.sha512() if "sha-512" in digests else None
    with storing(), found.blobs.writer() as writer:
        start = b""

        def write(block: bytes) -> None:
            nonlocal start
            if len(start) < SNIFFED_BYTES:
                start += block[: SNIFFED_BYTES - len(start)]
                if len(start) == SNIFFED_BYTES:
                    sniff(start)  # refuse a wrong file at its first bytes, not at its last
            writer.write(block)
            if sha512 is not None:
                sha512.update(block)

        await pour(chunks, write)
        if writer.size == 0:
            raise ProblemError("empty_file", "the file has no bytes")
        file_format, sha256 = sniff(start), writer.sha256()
        hashes = {"sha-256": sha256, "sha-512": sha512.hexdigest() if sha512 else ""}
        for name, digest in digests.items():
            if digest.hex() != hashes[name]:
                raise ProblemError(
                    "checksum_mismatch", f"the {name} should be {digest.hex()} and is {hashes[name]}; send again"
                )
        await run_sync(found.quotas.require_bytes, tenant, writer.size)  # a body in chunks declares no length
        await run_sync(writer.keep, found.blobs.artifact(tenant, sha256))
    artifact, new = await run_sync(found.uploads.admit, tenant, sha256, writer.size, file_format)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/artifacts/{artifact.id}"
    return _shown(artifact, found)


def _declared_size(request: Request) -> int:
    return int(request.headers.get("content-length", 0))


@router.get("/{artifact_id}", operation_id="get_artifact")
def get_artifact(artifact_id: ArtifactPath, found: WithStores, caller: Reader) -> Artifact:
    """Describe an artifact. Its layers and classes are known once a worker has looked into it."""
    artifact = found.artifacts.get(caller.tenant, artifact_id.removeprefix(ID_PREFIX))
    if artifact is None:
        require_unexpired(found, caller.tenant, artifact_id)
        raise _absent(artifact_id)
    return _shown(artifact, found)


@router.delete("/{artifact_id}", status_code=204, operation_id="delete_artifact")
def delete_artifact(artifact_id: ArtifactPath, found: WithStores, caller: Submitter) -> None:
    """Delete an artifact that no unfinished analysis reads. Reports made of it stay."""
    sha256 = artifact_id.removeprefix(ID_PREFIX)
    if found.jobs.uses(caller.tenant, sha256):
        raise ProblemError("artifact_in_use", f"an unfinished analysis reads {artifact_id}; cancel it or wait for it")
    if not found.artifacts.delete(caller.tenant, sha256):
        raise _absent(artifact_id)
    with suppress(StoreUnavailable):  # without its row it is gone for everybody, and the sweep deletes the rest
        found.blobs.store.delete(found.blobs.artifact(caller.tenant, sha256))


def _shown(artifact: Artifact, found: Stores) -> Artifact:
    """Tell when the artifact expires."""
    seconds = found.settings.artifact_seconds
    if seconds is None:
        return artifact
    return artifact.model_copy(update={"expires_at": artifact.created_at + timedelta(seconds=seconds)})


def _absent(artifact_id: str) -> ProblemError:
    return ProblemError("artifact_not_found", f"there is no artifact {artifact_id}; upload it with PUT /v1/artifacts")
