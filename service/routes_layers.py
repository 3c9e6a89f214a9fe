"""Layers that are finished, while the analysis still runs."""

from fastapi import APIRouter

from contract.schemas import FinishedLayers, ProblemError, Report
from service.deps import Reader, WithStores
from service.references import bytes_of
from service.routes_analyses import AnalysisPath

router = APIRouter(prefix="/v1/analyses/{analysis_id}", tags=["analyses"])


@router.get("/layers", operation_id="get_finished_layers")
def get_layers(analysis_id: AnalysisPath, found: WithStores, caller: Reader) -> FinishedLayers:
    """Return the separations of the layers finished so far; of a succeeded analysis, those of the report.

    Before the end, columns of more than 200 class pairs are left empty, and so is what only tests need.
    """
    sha256 = found.jobs.report_sha256(caller.tenant, analysis_id)
    if sha256 is None:
        if found.jobs.get(caller.tenant, analysis_id) is None:
            raise ProblemError("not_found", f"there is no analysis {analysis_id}")
        return FinishedLayers(separations=found.unfinished.layers(caller.tenant, analysis_id))
    report = Report.model_validate_json(bytes_of(found, sha256))
    return FinishedLayers(separations=report.separations)
