"""Each rule of a policy as a sentence."""

from collections.abc import Iterator

from contract.schemas import Report
from contract.schemas.policy import AnyRule, ChangeRule, FindingRule, GapRule, LayerRule, Policy, SeparationRule
from interlayer.policy.selectors import selected_layers
from interlayer.render import wording

_STATISTICS = {
    "mean": "the mean over all class pairs",
    "median": "the median of the class pairs",
    "q10": "the value that a tenth of the class pairs stays below",
    "q25": "the value that a quarter of the class pairs stays below",
    "q75": "the value that a quarter of the class pairs exceeds",
    "q90": "the value that a tenth of the class pairs exceeds",
    "min": "the least separated class pair",
    "max": "the best separated class pair",
}


def explain(policy: Policy, report: Report | None = None) -> str:
    """Return the policy in sentences; with a report, also the layers of it that each rule judges."""
    blocks = []
    for rule in policy.rules:
        lines = [f"{rule.id} ({rule.severity}): {rule.description}".rstrip(": "), f"  {_sentence(rule, policy)}"]
        if report is not None and isinstance(rule, LayerRule):
            layers, missing = selected_layers(rule.layers, report.layers)
            lines.append(f"  layers of this report: {', '.join(layers) or 'none'}")
            lines += [f"  {selector!r} matches no layer" for selector in missing]
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, _end(policy)]) + "\n"


def _sentence(rule: AnyRule, policy: Policy) -> str:
    if isinstance(rule, FindingRule):
        parts = [f"must not have the finding {name}" for name in rule.absent]
        parts += [f"must have the finding {name}" for name in rule.present]
        return f"The report {' and '.join(parts)}."
    return " ".join([*_judged(rule), _violated(rule, policy)])


def _judged(rule: SeparationRule | GapRule | ChangeRule) -> Iterator[str]:
    where = f"at {_layers(rule)} of the {rule.state} network"
    if isinstance(rule, SeparationRule):
        what = _STATISTICS[rule.statistic] if rule.pairs is None else f"each of {len(rule.pairs)} class pairs"
        bound = f"at least {rule.at_least:g}" if rule.at_least is not None else f"at most {rule.at_most:g}"
        yield f"On {wording.SPLIT[rule.split]} data, {what} must be {bound} {where}."
        for ignored in rule.ignore_pairs:
            yield f"{' / '.join(ignored.pair)} is ignored until {ignored.expires} ({ignored.reason})."
    elif isinstance(rule, GapRule):
        yield f"The mean on training data may exceed that on validation data by at most {rule.at_most:g} {where}."
    else:
        verb, limit = ("drop", rule.max_drop) if rule.max_drop is not None else ("rise", rule.max_rise)
        unit = " of it" if rule.relative else ""
        data = wording.SPLIT[rule.split]
        yield f"On {data} data, the mean may {verb} from the baseline's by at most {limit:g}{unit} {where}."


def _violated(rule: SeparationRule | GapRule | ChangeRule, policy: Policy) -> str:
    beyond = f"more than {rule.tolerance:g} beyond the bound" if rule.tolerance else "beyond the bound"
    if isinstance(rule, SeparationRule) and rule.claim == "observed":
        return f"Violated when it is {beyond} on these very rows; nothing is said about others."
    tested = isinstance(rule, SeparationRule) and (rule.statistic != "mean" or rule.pairs is not None)
    test = "a sign test over the disjoint parts" if tested else "the subsample t"
    return f"Violated when it is {beyond} and significantly so ({test}, adjusted p < {policy.alpha:g})."


def _layers(rule: LayerRule) -> str:
    selectors = rule.layers if isinstance(rule.layers, list) else [rule.layers]
    if selectors == ["*"]:
        return "every layer"
    return ", ".join(_layer(item) for item in selectors)


def _layer(selector: int | str) -> str:
    if selector in ("first", "last"):
        return f"the {selector} layer"
    return f"layer {selector}" if isinstance(selector, int) else selector


def _end(policy: Policy) -> str:
    reading = {"fail": "fails the audit (exit 3)", "warn": "is a warning", "pass": "passes"}[policy.on_inconclusive]
    return f"What cannot be decided is inconclusive, never a pass, and {reading}."
