"""How one report has changed from another."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from contract.schemas import Report
from contract.schemas.comparison import Comparison
from contract.schemas.history import ComparisonRequest
from interlayer.comparison import compare
from interlayer.render.comparison_table import comparison_to_html, comparison_to_markdown
from service import renderings
from service.deps import Reader, WithStores
from service.references import bytes_of, sha256_of

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"])
_FORMS = ("json", "html", "md")
_CONTENT: dict[str, dict[str, str]] = {renderings.MEDIA_TYPES[form]: {} for form in _FORMS[1:]}


@router.post("", response_model=Comparison, operation_id="compare_reports", responses={200: {"content": _CONTENT}})
def compare_reports(
    body: ComparisonRequest, found: WithStores, caller: Reader, accept: Annotated[str, Header()] = "*/*"
) -> Response:
    """Compare two reports, each named by its analysis, its id or a baseline: JSON, or HTML or Markdown by `Accept`.

    Where the two cannot be compared, whole or at all, `comparable` is false and `differences` says why.
    """
    form = renderings.preferred(accept, _FORMS)
    hashes = [sha256_of(found, caller.tenant, reference) for reference in (body.base, body.candidate)]
    base, candidate = (Report.model_validate_json(bytes_of(found, sha256)) for sha256 in hashes)
    comparison = compare(base, candidate)
    if form == "json":
        content = comparison.to_bytes()
    elif form == "md":
        content = comparison_to_markdown(comparison).encode()
    else:
        content = comparison_to_html(base, candidate, comparison).encode()
    return renderings.represented(content, form, "comparison")
