"""What an analysis is asked to read: is it there, and of the right kind?"""

from contract.artifacts import ID_PREFIX
from contract.registry import load_registry
from contract.schemas import AnalysisRequest, FieldError, ProblemError
from service.deps import Stores, require_unexpired


def check_inputs(body: AnalysisRequest, found: Stores, tenant: str) -> None:
    """Refuse what is already known to fail; the rest is found by the worker."""
    for number, item in enumerate(body.inputs):
        pointer = f"/body/inputs/{number}"
        if item.artifact is not None:
            _check_artifact(item.artifact, "activations", f"{pointer}/artifact", found, tenant)
        registry = load_registry(found.settings.models_file) if item.model is not None else None
        for kind, reference in (("model", item.model), ("data", item.data)):
            if reference is None or registry is None:
                continue
            if reference.artifact is not None:
                _check_artifact(reference.artifact, kind, f"{pointer}/{kind}/artifact", found, tenant)
            elif reference.name is not None:
                try:
                    registry.model(reference.name) if kind == "model" else registry.data_set(reference.name)
                except ProblemError as error:
                    field = FieldError(pointer=f"{pointer}/{kind}/name", message=reference.name)
                    raise ProblemError(error.problem.code, error.problem.detail, [field]) from error


def _check_artifact(artifact_id: str, wanted: str, pointer: str, found: Stores, tenant: str) -> None:
    artifact = found.artifacts.get(tenant, artifact_id.removeprefix(ID_PREFIX))
    field = FieldError(pointer=pointer, message=artifact_id)
    if artifact is None:
        require_unexpired(found, tenant, artifact_id)
        detail = f"there is no artifact {artifact_id}; upload it with PUT /v1/artifacts"
        raise ProblemError("artifact_not_found", detail, [field])
    if artifact.error is not None:
        raise ProblemError(artifact.error.code, artifact.error.detail, [field])
    if (artifact.kind == "model") != (wanted == "model"):
        detail = f"{artifact_id} is not what `{wanted}` needs: it holds {artifact.kind}"
        raise ProblemError("not_a_model" if wanted == "model" else "inputs_missing", detail, [field])
