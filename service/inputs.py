"""What an analysis is asked to read: is it there, and of the right kind?"""

from collections.abc import Mapping

from contract.artifacts import ID_PREFIX
from contract.registry import load_registry
from contract.schemas import AnalysisRequest, Artifact, FieldError, ProblemError
from service.deps import Stores, require_unexpired

_WANTED = {"activations": "a file of activations", "data": "a file with `inputs` and `labels`"}


def used_artifacts(body: AnalysisRequest, found: Stores, tenant: str) -> dict[str, Artifact]:
    """Return the tenant's files that an analysis names, by id.

    Raises
    ------
    ProblemError
        Where one is absent or not what it is used as, or a model or data set is not registered. What else is wrong
        is found by the worker.
    """
    artifacts = found.artifacts.several(tenant, [artifact.removeprefix(ID_PREFIX) for artifact in body.artifacts])
    used = {artifact.id: artifact for artifact in artifacts}
    for number, item in enumerate(body.inputs):
        pointer = f"/body/inputs/{number}"
        if item.artifact is not None:
            _require_kind(item.artifact, "activations", f"{pointer}/artifact", used, found, tenant)
        registry = load_registry(found.settings.models_file) if item.model is not None else None
        for kind, reference in (("model", item.model), ("data", item.data)):
            if reference is None or registry is None:
                continue
            if reference.artifact is not None:
                _require_kind(reference.artifact, kind, f"{pointer}/{kind}/artifact", used, found, tenant)
            elif reference.name is not None:
                try:
                    registry.model(reference.name) if kind == "model" else registry.data_set(reference.name)
                except ProblemError as error:
                    field = FieldError(pointer=f"{pointer}/{kind}/name", message=reference.name)
                    raise ProblemError(error.problem.code, error.problem.detail, [field]) from error
    return used


def _require_kind(
    artifact_id: str, wanted: str, pointer: str, used: Mapping[str, Artifact], found: Stores, tenant: str
) -> None:
    artifact, field = used.get(artifact_id), FieldError(pointer=pointer, message=artifact_id)
    if artifact is None:
        require_unexpired(found, tenant, artifact_id)
        detail = f"there is no artifact {artifact_id}; upload it with PUT /v1/artifacts"
        raise ProblemError("artifact_not_found", detail, [field])
    if artifact.error is not None:
        raise ProblemError(artifact.error.code, artifact.error.detail, [field])
    if (artifact.kind == "model") != (wanted == "model"):
        if wanted == "model":
            detail = f"{artifact_id} is no ONNX file; give activations as `artifact`, and inputs of a model as `data`"
            raise ProblemError("not_a_model", detail, [field])
        detail = f"{artifact_id} is an ONNX file, not {_WANTED[wanted]}; give it as `model`, with `data` beside it"
        raise ProblemError("inputs_missing", detail, [field])
