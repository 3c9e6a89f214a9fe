"""A verdict at the head of the page: every rule as a chip that leads to the chart it speaks of."""

from collections.abc import Mapping
from html import escape

from contract.schemas.verdict import Case, RuleVerdict, Verdict
from interlayer.render import text, wording
from interlayer.render.verdict_text import MARKS, headline, sentence

_WORDS = {"pass": "holds", "violation": "violated", "inconclusive": "inconclusive"}
_SECTION_OF_CHECK = {"separation": "layers", "gap": "gap", "change": "layers"}
_MOST_CASES = 8


def verdict_section(verdict: Verdict, bodies: Mapping[str, str]) -> str:
    """Return the section; `bodies` are the sections that the page has."""
    rules = "".join(_rule(rule, bodies) for rule in verdict.rules)
    notes = "".join(f"<p class=muted>{escape(text.visible(note))}</p>" for note in verdict.notes)
    return (
        f'<section id="verdict" class="verdict {verdict.conclusion}">'
        f"<h2>{MARKS[verdict.conclusion]} {escape(headline(verdict))}</h2>"
        f"<p class=muted>By the policy <code>{escape(text.visible(verdict.policy))}</code>; "
        f"a rule is violated where the numbers are beyond its bound, and significantly so (adjusted p below "
        f'{verdict.alpha:g}).</p>{notes}<ul class="rules">{rules}</ul></section>'
    )


def _rule(rule: RuleVerdict, bodies: Mapping[str, str]) -> str:
    lesser = "" if rule.severity == "error" else f" ({rule.severity})"
    chip = f'<span class="verdict-chip {rule.outcome}">{MARKS[rule.outcome]} {_WORDS[rule.outcome]}{lesser}</span>'
    place = _shown_in(rule, bodies)
    link = f' <a href="#{place[0]}">{escape(place[1])}</a>' if place else ""
    told = f" {escape(text.visible(rule.description))}" if rule.description else ""
    notable = [case for wanted in ("violation", "inconclusive") for case in rule.cases if case.outcome == wanted]
    return f"<li>{chip}<div><p><strong>{escape(text.visible(rule.id))}</strong>{told}{link}</p>{_cases(notable)}</div>"


def _cases(notable: list[Case]) -> str:
    if not notable:
        return ""
    items = "".join(f"<li>{MARKS[case.outcome]} {escape(sentence(case))}" for case in notable[:_MOST_CASES])
    more = len(notable) - _MOST_CASES
    return f"<ul>{items}{f'<li>and {more} more, in verdict.json' if more > 0 else ''}</ul>"


def _shown_in(rule: RuleVerdict, bodies: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the id of the section, and the text of a link to it, with what a rule judges."""
    if rule.check == "finding":
        return "findings", "See what was found"
    wanted = "pairs" if any(case.pair for case in rule.cases) else _SECTION_OF_CHECK.get(rule.check, "layers")
    section = next((section for section in (wanted, "layers") if section in bodies), None)
    return None if section is None else (section, wording.link_to(section))
