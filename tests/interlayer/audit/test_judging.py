"""A violation needs effect and significance; what cannot be decided or compared is inconclusive, never a pass."""

import numpy as np
import pytest

from contract.schemas import Finding, Report
from contract.schemas.verdict import Case
from hpcore import subsample_test
from hpcore.multiplicity import holm
from interlayer.audit import audit
from interlayer.audit.estimates import adjusted, sign_test
from interlayer.audit.outputs import exit_code
from tests.interlayer.audit.networks import policy, report

LEARNED = "id: r, check: separation, layers: last, split: train, at_least: 0.8, tolerance: 0.02"
STEADY = "id: r, check: change, split: train, max_drop: 0.03"


def only(verdict_cases: list[Case]) -> Case:
    (case,) = verdict_cases
    return case


@pytest.mark.parametrize(
    ("mean", "spread", "outcome", "says"),
    [
        (0.9, 0.02, "pass", "within the bound"),
        (0.8, 0.02, "pass", "within the bound"),
        (0.785, 0.001, "pass", "within the tolerance"),  # significant, but too little to matter
        (0.7, 0.02, "violation", "beyond the bound by 0.100"),
        (0.7, 0.9, "inconclusive", "not significantly"),  # it matters, but it may be chance
        (0.7, 0.0, "inconclusive", "no variance"),
    ],
)
def test_effect_and_significance(mean: float, spread: float, outcome: str, says: str) -> None:
    verdict = audit(report({"a": 0.0, "z": mean}, spread=spread), policy(LEARNED))
    case = only(verdict.rules[0].cases)
    assert (case.layer, case.outcome, verdict.conclusion) == ("z", outcome, outcome)
    assert says in case.message
    assert exit_code(verdict) == {"pass": 0, "violation": 1, "inconclusive": 3}[outcome]


def test_the_p_value_is_that_of_the_numerical_core() -> None:
    found = report({"z": 0.75}, spread=0.09)
    case = only(audit(found, policy(LEARNED)).rules[0].cases)
    folds = np.array(found.separations[0].fold_means)
    expected = subsample_test(found.separations[0].mean - 0.8, folds - 0.8, alternative="less")
    assert case.p_value == pytest.approx(expected.p_value, rel=1e-9)


def test_the_gap_adds_both_variances() -> None:
    found = report({"z": 0.9}, validation={"z": 0.7}, spread=0.09)
    case = only(audit(found, policy("id: r, check: gap, at_most: 0.1")).rules[0].cases)
    train, validation = (np.array(item.fold_means) for item in found.separations)
    expected = subsample_test(0.1, train, alternative="greater", independent_fold_statistics=validation)
    assert case.found == pytest.approx(0.2)
    assert case.p_value == pytest.approx(expected.p_value, rel=1e-9)


def test_p_values_are_adjusted_over_the_layers_of_a_rule() -> None:
    found = report({"a": 0.74, "b": 0.76, "c": 0.7, "d": 0.9}, spread=0.09)
    cases = audit(found, policy(LEARNED.replace("last", '"*"'))).rules[0].cases
    raw = [case.p_value for case in cases]
    assert [case.p_adjusted for case in cases] == pytest.approx(list(holm(raw)))
    assert adjusted([0.01, None, 0.04, 0.03], "benjamini_hochberg") == pytest.approx([0.03, None, 0.04, 0.04])


def test_many_layers_do_not_make_chance_a_violation() -> None:
    one = audit(report({"z": 0.75}, spread=0.05), policy(LEARNED))
    many = audit(report({f"{i}": 0.75 for i in range(60)}, spread=0.05), policy(LEARNED.replace("last", '"*"')))
    assert one.conclusion == "violation"
    assert many.conclusion == "inconclusive"


# -- compared with a baseline ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "spread", "outcome"),
    [(0.9, 0.02, "pass"), (0.88, 0.001, "pass"), (0.7, 0.02, "violation"), (0.85, 0.2, "inconclusive")],
)
def test_a_drop_from_the_baseline(mean: float, spread: float, outcome: str) -> None:
    base, found = report({"z": 0.9}, spread=spread), report({"z": mean}, spread=spread)
    verdict = audit(found, policy(STEADY), base)
    assert verdict.conclusion == outcome
    rises = audit(found, policy("id: r, check: change, split: train, max_rise: 0.03"), base)
    assert rises.conclusion == "pass", "a rule has one direction"


def test_a_relative_drop_is_one_of_the_baseline() -> None:
    base, found = report({"z": 0.4}, spread=0.005), report({"z": 0.3}, spread=0.005)
    rule = "id: r, check: change, split: train, relative: true, max_drop: %s"
    assert audit(found, policy(rule % 0.2), base).conclusion == "violation"
    assert audit(found, policy(rule % 0.3), base).conclusion == "pass"


def by_cosine(found: Report) -> Report:
    """The same numbers, measured in another way."""
    return found.model_copy(update={"provenance": found.provenance.model_copy(update={"metric": "cosine"})})


@pytest.mark.parametrize(
    ("base", "named"),
    [
        (None, "--baseline"),
        (report({"z": 0.1}, classes=("a", "b", "d")), "classes"),
        (report({"z": 0.1}, rows=100), "rows per class"),
        (report({"y": 0.1}), "layers"),
        (by_cosine(report({"z": 0.1})), "metric"),
    ],
)
def test_what_cannot_be_compared_is_no_pass_and_says_why(base: Report | None, named: str) -> None:
    verdict = audit(report({"z": 0.9}), policy(STEADY), base)
    assert verdict.conclusion == "inconclusive"
    assert named in only(verdict.rules[0].cases).message


def test_a_layer_that_the_baseline_lacks_is_inconclusive_and_the_others_are_judged() -> None:
    verdict = audit(report({"y": 0.9, "z": 0.9}), policy(STEADY), report({"z": 0.9}))
    assert {case.layer: case.outcome for case in verdict.rules[0].cases} == {"y": "inconclusive", "z": "pass"}


# -- what the mean does not tell ---------------------------------------------------------------------------------------

ONE_BAD_PAIR = [0.9, 0.2, 0.9]
OBSERVED = "id: r, check: separation, split: train, statistic: min, claim: observed, at_least: 0.5"


def test_a_threshold_says_that_it_is_one() -> None:
    case = only(audit(report({"z": ONE_BAD_PAIR}), policy(OBSERVED)).rules[0].cases)
    assert (case.outcome, case.method, case.p_value) == ("violation", "threshold", None)
    assert "on these rows" in case.message


def test_an_ignored_pair_is_left_out_and_shown() -> None:
    ignore = OBSERVED + ", ignore_pairs: [{pair: [c, a], reason: same thing, expires: 2999-01-01}]"
    verdict = audit(report({"z": ONE_BAD_PAIR}), policy(ignore))
    assert [case.outcome for case in verdict.rules[0].cases] == ["ignored", "pass"]
    assert "same thing" in verdict.rules[0].cases[0].message


def test_disjoint_parts_must_agree() -> None:
    rule = policy("id: r, check: separation, split: train, statistic: min, at_least: 0.5", "repeat: 6\n")
    whole, bad, good = report({"z": ONE_BAD_PAIR}), report({"z": [0.9, 0.3, 0.9]}), report({"z": 0.9})
    assert audit(whole, rule, parts=[bad] * 6).conclusion == "violation"
    assert audit(whole, rule, parts=[bad] * 5 + [good]).conclusion == "inconclusive"
    case = only(audit(whole, rule, parts=[bad] * 5 + [good]).rules[0].cases)
    assert (min(case.parts), max(case.parts)) == pytest.approx((0.3, 0.9))
    assert audit(whole, rule).conclusion == "inconclusive", "without the activations there are no parts"
    assert sign_test(6, 6) == 1 / 64


def test_a_named_pair() -> None:
    rule = "id: r, check: separation, split: train, pairs: [[c, a], [a, x]], claim: observed, at_least: 0.5"
    cases = audit(report({"z": ONE_BAD_PAIR}), policy(rule)).rules[0].cases
    assert [(case.pair, case.outcome) for case in cases] == [(["c", "a"], "violation"), (["a", "x"], "inconclusive")]


def test_findings() -> None:
    found = report({"z": 0.9})
    ill = Finding(code="memorization", severity="error", message="It did.", evidence={})
    rule = policy("id: r, check: finding, absent: [memorization], present: [adaptation]")
    cases = audit(found.model_copy(update={"findings": [ill]}), rule).rules[0].cases
    assert [case.outcome for case in cases] == ["violation", "violation"]
    assert cases[0].message == "It did."


# -- what decides the build --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "rule", "head", "says"),
    [
        (report({"z": 0.1}, rows=20), LEARNED, "", "20 rows"),
        (report({"z": 0.9}, rows=20), LEARNED, "", "20 rows"),  # a good value of few rows is no pass either
        (report({"z": 0.9}), LEARNED.replace("last", '"conv*"'), "", "matches no layer"),
        (report({"z": 0.9}), LEARNED.replace("train", "validation"), "", "validation"),
        (report({"z": 0.9}), "id: r, check: gap, at_most: 0.1", "", "validation"),
        (report({"z": 0.9}), LEARNED + ", state: untrained", "", "untrained"),
    ],
)
def test_what_cannot_be_judged_is_inconclusive(found: Report, rule: str, head: str, says: str) -> None:
    verdict = audit(found, policy(rule, head))
    assert verdict.conclusion == "inconclusive"
    assert says in only(verdict.rules[0].cases).message


@pytest.mark.parametrize(("reading", "code"), [("fail", 3), ("warn", 0), ("pass", 0)])
def test_on_inconclusive(reading: str, code: int) -> None:
    verdict = audit(report({"z": 0.7}, spread=0.9), policy(LEARNED, f"on_inconclusive: {reading}\n"))
    assert (verdict.conclusion, exit_code(verdict)) == ("inconclusive", code)


def test_only_errors_fail_the_build_and_a_violation_outweighs_doubt() -> None:
    found = report({"z": 0.7}, spread=0.02)
    warning = f"{LEARNED}, severity: warning"
    doubt = "id: s, check: change, max_drop: 0.1"
    assert exit_code(audit(found, policy(warning))) == 0
    assert exit_code(audit(found, policy(f"{warning}\n{doubt}"))) == 3
    assert exit_code(audit(found, policy(f"{LEARNED}\n{doubt}", "on_inconclusive: pass\n"))) == 1
