"""Files of activations: the list, and uploads, in one piece from a form or resumable by script."""

from fastapi import APIRouter, Request, Response

from service.deps import Reader, Submitter, WithStores
from service.pages.answers import PageRoute, page, see_other
from service.routes_artifacts import ArtifactPath, delete_artifact, post_artifact

router = APIRouter(route_class=PageRoute)
MOST_FILES = 100


@router.get("/files")
def files(request: Request, found: WithStores, caller: Reader) -> Response:
    """List the newest files, and take new ones."""
    return page(
        request,
        "files.html",
        caller,
        files=found.artifacts.newest(caller.tenant, MOST_FILES),
        most=MOST_FILES,
        max_bytes=found.settings.max_artifact_bytes,
    )


@router.post("/files")
async def upload(request: Request, response: Response, found: WithStores, caller: Submitter) -> Response:
    """Take a file from a plain form."""
    await post_artifact(request, response, found, caller)
    return see_other("/files")


@router.post("/files/{artifact_id}/delete")
def delete(artifact_id: ArtifactPath, found: WithStores, caller: Submitter) -> Response:
    """Delete a file."""
    delete_artifact(artifact_id, found, caller)
    return see_other("/files")
