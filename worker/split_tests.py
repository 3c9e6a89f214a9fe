"""Training against validation data sample by sample: tests that need the activations of both at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from contract.schemas import Diagnostic, TestOptions
from hpcore import TestResult, membership_test
from hpcore.membership import shift_test
from hpcore.multiplicity import benjamini_hochberg, holm
from hpcore.study import StateKey, StudyResult, StudyTest
from worker.arrays import Array

_ADJUSTMENTS = {"holm": holm, "benjamini_hochberg": benjamini_hochberg}

Load = Callable[[StateKey, str], tuple[Array, Array]]


@dataclass(frozen=True)
class SplitTests:
    """What was found about one layer of one network state."""

    key: StateKey
    layer: str
    membership: TestResult | None
    shift: TestResult | None
    small_tiles: bool = False
    left_gpu: bool = False


def compared_keys(keys: Sequence[StateKey], options: TestOptions) -> list[StateKey]:
    """Return the training sides of the states that have both splits, if any test of them was asked for."""
    if options.membership == "none" and not options.shift:
        return []
    return [key for key in keys if key.split == "train" and replace(key, split="validation") in keys]


def compare_splits(
    key: StateKey,
    layer: str,
    load: Load,
    options: TestOptions,
    *,
    metric: str,
    device: str,
    seed: int,
    n_threads: int | None,
) -> SplitTests:
    """Run the tests asked for on one layer of one state; `load` returns (activations, class codes)."""
    (train, codes), (validation, validation_codes) = load(key, layer), load(replace(key, split="validation"), layer)
    four = (train, validation, codes, validation_codes)
    membership = None
    if options.membership != "none":
        membership = membership_test(
            *four, method=options.membership, rng=seed, metric=metric, device=device, n_threads=n_threads
        )
    shift = shift_test(*four, metric=metric, device=device) if options.shift else None
    return SplitTests(key, layer, membership, shift)


def with_membership(tests: Sequence[StudyTest], found: Sequence[SplitTests], options: TestOptions) -> list[StudyTest]:
    """Add the membership tests to the rows of the gap, adjusted over the layers of each network state."""
    results: dict[tuple[str, str, int | None, str], StudyResult] = {}
    for key in dict.fromkeys(item.key for item in found):
        mine = [item for item in found if item.key == key and item.membership is not None]
        adjusted = _ADJUSTMENTS[options.adjustment]([item.membership.p_value for item in mine if item.membership])
        for item, p_adjusted in zip(mine, adjusted, strict=True):
            assert item.membership is not None
            results[key.instance, key.state, key.step, item.layer] = StudyResult(
                method="membership" if options.membership == "rebuild" else "membership_score",
                estimand="exchangeable_membership",
                p_value=item.membership.p_value,
                p_adjusted=p_adjusted,
                adjustment=options.adjustment,
                exact=item.membership.exact,
                n_resamples=item.membership.n_resamples,
                low=None,
                high=None,
                reason=item.membership.reason,
            )
    return [_with_result(test, results) for test in tests]


def _with_result(test: StudyTest, results: Mapping[tuple[str, str, int | None, str], StudyResult]) -> StudyTest:
    own = results.get((test.instance, test.state or "", test.step, test.output_layer))
    if test.family != "generalization_gap" or own is None:
        return test
    return replace(test, results=(*test.results, own))


def diagnostics(found: Sequence[SplitTests]) -> list[Diagnostic]:
    """Return the answers about a shift between the two sets."""
    return [
        Diagnostic.model_validate(
            {
                "code": "shift",
                "instance": item.key.instance,
                "state": item.key.state,
                "step": item.key.step,
                "layer": item.layer,
                "statistic": item.shift.statistic,
                "p_value": item.shift.p_value,
            }
        )
        for item in found
        if item.shift is not None
    ]
