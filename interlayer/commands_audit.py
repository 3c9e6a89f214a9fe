"""`interlayer audit`, `policy …`, `compare` and `wait`: what a build pipeline calls."""

import datetime
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from contract.schemas import Report
from contract.schemas.verdict import Verdict
from interlayer import inputs as given
from interlayer.audit import Evidence, audit, obtaining
from interlayer.audit.outputs import AuditTargets, exit_code, write_audit
from interlayer.client import Client
from interlayer.commands_local import JsonOption
from interlayer.commands_remote import KeyOption, ServerOption
from interlayer.comparison import compare as compare_reports
from interlayer.errors import AnalysisFailed, UsageError
from interlayer.output import progress_line
from interlayer.policy import TEMPLATE, LoadedPolicy, explain, load_policy
from interlayer.policy.loading import refuse_expired
from interlayer.render.annotations import verdict_to_annotations
from interlayer.render.comparison_table import comparison_to_text
from interlayer.render.text import count
from interlayer.render.verdict_text import verdict_to_text
from interlayer.report_file import load_report

PolicyFile = Annotated[Path, typer.Argument(metavar="POLICY", help="A policy file, .yaml or .toml.")]
Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Files of activations as for `analyze`, or one report.json, or the id of an analysis or report.",
        show_default=False,
    ),
]
Ref = Annotated[str, typer.Argument(metavar="REF", help="A report.json, or an id or a baseline on the service.")]

policy_app = typer.Typer(
    name="policy", help="Start, check and explain policies.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("audit")(audit_command)
    app.command()(compare)
    app.command()(wait)
    app.add_typer(policy_app)


def audit_command(
    inputs: Inputs,
    policy: Annotated[Path, typer.Option(help="The policy file.")] = Path("interlayer.yaml"),
    baseline: Annotated[str | None, typer.Option(help="A report.json, or the name of a baseline.")] = None,
    state: given.StateOption = "trained",
    split: given.SplitOption = "train",
    instance: given.InstanceOption = "0",
    out: Annotated[Path | None, typer.Option(help="Folder for every output of the audit.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write SARIF 2.1.0 here.")] = None,
    md: Annotated[Path | None, typer.Option(help="Write the Markdown summary here.")] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Analyse in this process, whatever INTERLAYER_SERVER is.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Submit, print the ids and leave; see `wait`.")] = False,
    timeout: Annotated[
        float | None, typer.Option(help="Give up waiting for the service after so many seconds.")
    ] = None,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Report only: end with 0 whatever the verdict.")
    ] = False,
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a network by a policy. 0 pass, 1 violation, 3 inconclusive, 4 no report, 5 the service does not answer."""
    signal.signal(signal.SIGTERM, _interrupt)  # how a runner asks a step to stop
    loaded = load_policy(policy)
    refuse_expired(loaded, datetime.datetime.now(datetime.UTC).date())
    targets = AuditTargets(out, junit, sarif, md)
    targets.require_places()
    url = None if local else server or os.environ.get("INTERLAYER_SERVER")
    client = Client(url, key) if url else None
    try:
        if detach:
            _detach(inputs, {"state": state, "split": split, "instance": instance}, loaded, client, as_json)
            return
        known = obtaining.baseline_report(baseline, loaded.policy, policy.parent, client)
        roles = {"state": state, "split": split, "instance": instance}
        evidence = _evidence(inputs, roles, loaded, client, timeout)
    finally:
        if client is not None:
            client.close()
    verdict = audit(evidence.report, loaded, known, evidence.parts)
    # First the files: a verdict is said only where the exit code will be its own.
    write_audit(verdict, evidence.report, targets)
    _say(verdict, as_json)
    raise typer.Exit(0 if exit_zero else exit_code(verdict))


def _evidence(
    inputs: list[str], roles: dict[str, str], loaded: LoadedPolicy, client: Client | None, timeout: float | None
) -> Evidence:
    if any(obtaining.is_report(item) for item in inputs):
        if len(inputs) > 1:
            raise UsageError("give either files of activations or one report, not both")
        return obtaining.known_report(inputs[0], client, loaded.policy)
    files = given.parse_inputs(inputs, **roles)
    with progress_line() as line:
        if client is None:
            line.update("loading the numerical core (the first time, it is compiled)", 0, 1, 0.0)
            return obtaining.computed_here(files, loaded.policy, line.update)
        analyses = obtaining.submitted(files, loaded.policy, client)
        try:
            return obtaining.awaited(analyses, client, line.analysis, timeout)
        except KeyboardInterrupt:
            obtaining.cancel(analyses, client)
            raise


def _detach(
    inputs: list[str], roles: dict[str, str], loaded: LoadedPolicy, client: Client | None, as_json: bool
) -> None:
    if client is None:
        raise UsageError("--detach leaves the analysis to a service: name it with --server or INTERLAYER_SERVER")
    ids = [found.id for found in obtaining.submitted(given.parse_inputs(inputs, **roles), loaded.policy, client)]
    sys.stdout.write(json.dumps({"analyses": ids}) + "\n" if as_json else "".join(f"{item}\n" for item in ids))


def _say(verdict: Verdict, as_json: bool) -> None:
    # Workflow commands are read from either stream; stdout may be a JSON document.
    if os.environ.get("GITHUB_ACTIONS"):
        sys.stderr.write(verdict_to_annotations(verdict))
    sys.stdout.write(verdict.to_bytes().decode() if as_json else verdict_to_text(verdict))
    sys.stdout.flush()


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def wait(
    analyses: Annotated[list[str], typer.Argument(metavar="ID...", help="Analyses that `audit --detach` printed.")],
    timeout: Annotated[float | None, typer.Option(help="Give up after so many seconds.")] = None,
    server: ServerOption = None,
    key: KeyOption = None,
) -> None:
    """Wait until analyses have ended. 0 they all succeeded, 4 one did not, 5 time-out. Ctrl-C cancels nothing."""
    with Client(server, key) as client, progress_line() as line:
        for analysis_id in analyses:
            ended = client.wait(analysis_id, timeout=timeout, on_progress=line.analysis)
            if ended.error is not None:
                raise AnalysisFailed(ended.error)


def compare(
    base: Ref, candidate: Ref, server: ServerOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """Tell how one report differs from another, layer by layer. Nothing is decided by this."""
    comparison = compare_reports(_report(base, server, key), _report(candidate, server, key))
    sys.stdout.write(comparison.to_bytes().decode() if as_json else comparison_to_text(comparison))


def _report(ref: str, server: str | None, key: str | None) -> Report:
    path = Path(ref)
    if path.is_file() or path.suffix == ".json":
        return load_report(path)
    with Client(server, key) as client:
        return client.report(ref)


@policy_app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("interlayer.yaml"),
) -> None:
    """Write a policy to start from. A file that exists is left alone."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError as error:
        raise UsageError(f"{path} exists; name another file, or remove it") from error
    sys.stderr.write(f"wrote {path}; `interlayer policy explain {path}` says what it demands\n")


@policy_app.command()
def validate(path: PolicyFile) -> None:
    """Check a policy: 0 it is one, 2 it is none or an exception in it has expired."""
    loaded = load_policy(path)
    refuse_expired(loaded, datetime.datetime.now(datetime.UTC).date())
    sys.stderr.write(f"{path}: {count(len(loaded.policy.rules), 'rule')}, valid\n")


@policy_app.command("explain")
def explain_command(
    path: PolicyFile,
    report: Annotated[Path | None, typer.Option(help="Also say which layers of this report each rule judges.")] = None,
) -> None:
    """Say every rule of a policy in a sentence."""
    loaded = load_policy(path)
    sys.stdout.write(explain(loaded.policy, None if report is None else load_report(report)))


@policy_app.command()
def schema() -> None:
    """Print the JSON Schema of policies, for editors."""
    from contract.schemas.policy import Policy

    sys.stdout.write(json.dumps(Policy.model_json_schema(), indent=2) + "\n")
