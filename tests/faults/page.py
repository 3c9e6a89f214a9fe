"""The outcomes as tables in a page."""

import platform
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.guards import GUARDS
from tests.faults.trials import Outcome


def write_page(
    page: Path,
    *,
    outcomes: dict[str, list[Outcome]] | None = None,
    caught: dict[str, Outcome] | None = None,
    form: str = "",
    seed: int = 0,
) -> None:
    """Replace the parts of the page that were measured anew."""
    text = page.read_text()
    if outcomes is not None:
        text = _replaced(text, "trials", _trials(outcomes, form, seed))
    if caught is not None:
        text = _replaced(text, "guards", _guards(caught))
    page.write_text(text)


def _replaced(text: str, name: str, part: str) -> str:
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}\n{part}\n{end}{after}"


def _trials(outcomes: dict[str, list[Outcome]], form: str, seed: int) -> str:
    command = f"python -m tests.faults --form {form} --profile {'both' if len(outcomes) > 1 else next(iter(outcomes))}"
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    lines = [f"`{command} --seed {seed}`, {today}, Python {platform.python_version()}:", ""]
    lines += [
        "| | accepted | finished | lost | finished twice | faults | violations |",
        "|---|---|---|---|---|---|---|",
    ]
    for profile, found in outcomes.items():
        lines.append(_total(f"**{profile}**", found))
    lines.append(_total("**both**", [each for found in outcomes.values() for each in found]))
    for profile, found in outcomes.items():
        lines += ["", f"### {profile}", "", "| trial | promises | accepted | finished | faults | violations | |"]
        lines.append("|---|---|---|---|---|---|---|")
        for each in found:
            faults = ", ".join(f"{count} {kind}" for kind, count in each.kills.items()) or "–"
            lines.append(
                f"| {each.name} | {each.promises} | {each.accepted} | {each.finished} | {faults} "
                f"| {len(each.violations)} | {each.note} |"
            )
    return "\n".join(lines)


def _total(name: str, found: list[Outcome]) -> str:
    faults = sum((Counter(each.kills) for each in found), Counter[str]())
    shown = ", ".join(f"{count} {kind}" for kind, count in faults.most_common())
    accepted, finished = sum(each.accepted for each in found), sum(each.finished for each in found)
    twice = sum("ended" in violation and "times" in violation for each in found for violation in each.violations)
    wrong = sum(len(each.violations) for each in found)
    return f"| {name} | {accepted} | {finished} | {accepted - finished} | {twice} | {shown} | {wrong} |"


def _guards(caught: dict[str, Outcome]) -> str:
    lines = ["| guard | promise | profile | trial | without it |", "|---|---|---|---|---|"]
    for name, outcome in caught.items():
        guard = GUARDS[name]
        first = outcome.violations[0] if outcome.violations else "**not noticed**"
        more = f" (and {len(outcome.violations) - 1} more)" if len(outcome.violations) > 1 else ""
        lines.append(f"| {guard.what} | {guard.promises} | {guard.profile} | {outcome.name} | {first}{more} |")
    return "\n".join(lines)
