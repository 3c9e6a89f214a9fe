"""What an analysis would take, from what is known of its inputs, and whether it can be done here at all."""

from collections.abc import Mapping

from contract.predictions import KnownInput, Limits, Prediction, predict, require_fit
from contract.schemas import AnalysisRequest, Artifact, Estimate, InputReference, ProblemError
from contract.workforce import Ability
from service.deps import Stores

_SMALLEST_FOR_FOLDS = 32


Used = Mapping[str, Artifact]  # the files that an analysis names, by id


def estimate(request: AnalysisRequest, used: Used, found: Stores) -> Estimate:
    """Return the estimate of an analysis of inspected files.

    Raises
    ------
    ProblemError
        `model_unsupported` for inputs that are models; `not_finished` where no worker has looked into a file yet.
    """
    inputs = [_known(item, used) for item in request.inputs]
    ability = found.workforce.of(_queue(request))
    prediction = predict(request, inputs, ability.processor)
    seconds = ability.slowness * prediction.seconds
    return Estimate(
        class_pairs=prediction.class_pairs,
        spanning_trees=prediction.spanning_trees,
        rows_per_class=prediction.rows_per_class,
        seconds=float(f"{seconds:.2g}"),
        memory_bytes=prediction.memory_bytes,
        time_class="seconds" if seconds < 60 else "minutes" if seconds < 3600 else "hours",
        notes=[*_notes(request, inputs), *_refusal(prediction, ability, found)],
    )


def require_feasible(request: AnalysisRequest, used: Used, found: Stores) -> None:
    """Refuse what cannot be done here, as far as the inputs are known; the worker judges the rest by the same rule."""
    files = [(item, used[item.artifact]) for item in request.inputs if item.artifact is not None]
    inputs = [known for item, file in files if (known := KnownInput.of(item, file)) is not None]
    if inputs:
        ability = found.workforce.of(_queue(request))
        require_fit(predict(request, inputs, ability.processor), Limits.of(ability, found.settings))


def _known(item: InputReference, used: Used) -> KnownInput:
    if item.artifact is None:
        raise ProblemError(
            "model_unsupported",
            "what a model takes is not known before it runs: how wide its layers are shows then; "
            "give recorded activations, or start it, and cancel it if it takes too long",
        )
    known = KnownInput.of(item, used[item.artifact])
    if known is None:
        raise ProblemError(
            "not_finished",
            f"{item.artifact} has not been inspected yet; ask again in a moment, or let the request wait for it "
            "(`Prefer: wait=10`)",
            headers={"Retry-After": "1"},
        )
    return known


def _queue(request: AnalysisRequest) -> str:
    return "gpu" if request.device == "cuda" else "cpu"


def _notes(request: AnalysisRequest, inputs: list[KnownInput]) -> list[str]:
    notes, rule = [], request.sampling.per_class
    smallest = min(item.smallest for item in inputs)
    if isinstance(rule, int) and rule > smallest:
        notes.append(f"a class has only {smallest} rows, so per_class {rule} would be refused")
    if smallest < _SMALLEST_FOR_FOLDS:
        notes.append("fewer than 32 rows per class: the subsample test and its intervals are not available")
    if request.tests.membership == "rebuild":
        notes.append("the rebuilt membership test ends after 20 to 999 reshuffles, as the data decide; 300 are assumed")
    return notes


def _refusal(prediction: Prediction, ability: Ability, found: Stores) -> list[str]:
    try:
        require_fit(prediction, Limits.of(ability, found.settings))
    except ProblemError as error:
        return [f"it would be refused: {error.problem.detail}"]
    return []
