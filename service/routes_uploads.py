"""Resumable uploads by the tus 1.0.0 protocol (https://tus.io); each ends in an artifact."""

from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Request, Response

from contract.formats import SNIFFED_BYTES, sniff
from contract.schemas import ProblemError
from contract.upload_rows import Upload
from contract.uploads import COMMIT_BYTES
from service import tus
from service.bodies import counted
from service.deps import Stores, Submitter, WithStores
from service.incoming import pour, storing

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
UploadPath = Annotated[str, Path(pattern=r"^up_[0-9a-f]{32}$", examples=["up_" + "0f" * 16])]


def _headers(*, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Describe request headers. The routes read them from the request, so that errors are this protocol's."""
    schemas: dict[str, dict[str, Any]] = {
        "Tus-Resumable": {"const": tus.VERSION, "type": "string"},
        "Upload-Length": {"type": "integer", "minimum": 1},
        "Upload-Offset": {"type": "integer", "minimum": 0},
    }
    names = [(name, True) for name in ("Tus-Resumable", *required)] + [(name, False) for name in optional]
    return [
        {"name": name, "in": "header", "required": must, "schema": schemas.get(name, {"type": "string"})}
        for name, must in names
    ]


_BYTES = {"requestBody": {"content": {tus.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}}


@router.options("", status_code=204, include_in_schema=False)
@router.options("/{upload_id}", status_code=204, include_in_schema=False)
def describe(found: WithStores) -> Response:
    """Tell what of the tus protocol is spoken here."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Max-Size": str(found.settings.max_artifact_bytes),
            "Tus-Checksum-Algorithm": ",".join(tus.CHECKSUMS),
        },
    )


@router.post(
    "",
    status_code=201,
    response_class=Response,
    operation_id="create_upload",
    openapi_extra={
        "parameters": _headers(required=("Upload-Length",), optional=("Upload-Metadata", "Upload-Checksum")),
        **_BYTES,
    },
)
async def create_upload(request: Request, found: WithStores, caller: Submitter) -> Response:
    """Begin an upload of `Upload-Length` bytes; `Location` is where they go. A body is its first part."""
    headers = request.headers
    if "upload-defer-length" in headers or "upload-concat" in headers:
        raise ProblemError("invalid_upload", "say the length at once with `Upload-Length`, and send one file whole")
    length = tus.size_in(headers, "Upload-Length")
    if length == 0:
        raise ProblemError("empty_file", "the file has no bytes")
    limit = found.settings.max_artifact_bytes
    if length > limit:
        raise ProblemError("artifact_too_large", f"the file is larger than {limit} bytes; record fewer rows or layers")
    description = headers.get("upload-metadata", "")
    expected = tus.sha256_in(tus.metadata_of(description))
    checksum = tus.Checksum.of(headers)
    upload = await run_sync(found.uploads.create, caller.tenant, length, description, expected)
    if headers.get("content-type", "") == tus.MEDIA_TYPE:
        upload = await _receive(request, found, upload, 0, checksum)
    return _answer(upload, 201, {"Location": f"/v1/uploads/{upload.id}"})


@router.head(
    "/{upload_id}", response_class=Response, operation_id="get_upload", openapi_extra={"parameters": _headers()}
)
def get_upload(upload_id: UploadPath, found: WithStores, caller: Submitter) -> Response:
    """Tell how many bytes of an upload have arrived for good, and what artifact it has become."""
    upload = found.uploads.get(caller.tenant, upload_id)
    more = {"Upload-Length": str(upload.length), "Cache-Control": "no-store"}
    if upload.description:
        more["Upload-Metadata"] = upload.description
    return _answer(upload, 200, more)


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    operation_id="append_upload",
    openapi_extra={
        "parameters": _headers(required=("Upload-Offset",), optional=("Upload-Checksum",)),
        **_BYTES,
    },
)
async def append_upload(upload_id: UploadPath, request: Request, found: WithStores, caller: Submitter) -> Response:
    """Send the bytes from `Upload-Offset` on. The answer to the last of them names the artifact."""
    if request.headers.get("content-type", "") != tus.MEDIA_TYPE:
        raise ProblemError("unsupported_media_type", f"send the bytes as {tus.MEDIA_TYPE}")
    offset = tus.size_in(request.headers, "Upload-Offset")
    checksum = tus.Checksum.of(request.headers)
    upload = await run_sync(found.uploads.get, caller.tenant, upload_id)
    return _answer(await _receive(request, found, upload, offset, checksum), 204)


@router.delete("/{upload_id}", status_code=204, operation_id="delete_upload", openapi_extra={"parameters": _headers()})
def delete_upload(upload_id: UploadPath, found: WithStores, caller: Submitter) -> None:
    """End an upload and free what has arrived. An artifact that it has become stays."""
    found.uploads.terminate(caller.tenant, upload_id)


async def _receive(
    request: Request, found: Stores, upload: Upload, offset: int, checksum: tus.Checksum | None
) -> Upload:
    """Append a body to an upload. Without a checksum, what arrives before an interruption counts."""
    appending = await run_sync(found.uploads.append, upload.tenant, upload.id, offset)

    def write(block: bytes) -> None:
        if appending.position == 0 and len(block) >= SNIFFED_BYTES:
            with appending.judging():
                sniff(block[:SNIFFED_BYTES])  # refuse a wrong file at its first bytes, not at its last
        appending.write(block)
        if checksum is not None:
            checksum.update(block)
        elif appending.uncommitted >= COMMIT_BYTES:
            appending.commit()

    def finish() -> None:
        if checksum is not None:
            checksum.require()
        if appending.position == upload.length:
            appending.complete(sniff, SNIFFED_BYTES)
            found.artifacts.call(upload.tenant, appending.upload.sha256 or "", tus.filename_in(upload.description))
        else:
            appending.commit()

    try:
        with storing():
            try:
                await pour(counted(request, found.settings.max_artifact_bytes), write)
            except BaseException:
                if checksum is None:
                    await run_sync(appending.commit)
                raise
            await run_sync(finish)
        return appending.upload
    finally:
        await run_sync(appending.close)


def _answer(upload: Upload, status: int, more: dict[str, str] | None = None) -> Response:
    headers = {"Upload-Offset": str(upload.received), "Upload-Expires": tus.http_date(upload.expires_at)}
    if upload.artifact_id is not None:
        headers["Interlayer-Artifact"] = upload.artifact_id
    return Response(status_code=status, headers=headers | (more or {}))
