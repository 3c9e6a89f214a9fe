"""`interlayer push`, and `interlayer baseline …`: the report that others are compared with, changed only by a bless."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from contract.schemas import Report
from contract.schemas.history import Baseline, ReportReference
from interlayer.client import Client
from interlayer.client.history import meant
from interlayer.commands_local import JsonOption
from interlayer.commands_remote import KeyOption, ServerOption
from interlayer.comparison import compare
from interlayer.errors import UsageError
from interlayer.output import print_json, stderr_console
from interlayer.render.comparison_table import comparison_to_text
from interlayer.render.text import visible
from interlayer.report_file import load_report

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a baseline, a branch or a release for example.")]
Ref = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="A report.json, the id of an analysis (an_…) or of a report (rp_…), or the name of a baseline.",
    ),
]
NoteOption = Annotated[str, typer.Option(help="Why, for the history.")]
VersionOption = Annotated[
    int | None, typer.Option("--version", help="Only if the baseline still is at this version.", min=0)
]

baseline_app = typer.Typer(
    name="baseline", help="Name the report that others are compared with.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(push)
    app.add_typer(baseline_app)


def push(
    files: Annotated[list[Path], typer.Argument(metavar="REPORT...", help="Reports that `interlayer analyze` wrote.")],
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add reports to the history of the service. Activations stay here. Prints their ids."""
    for path in files:
        load_report(path)  # what the service would refuse is not sent
    with Client(server, key) as client:
        for path in files:
            stored = client.push_report(path)
            if as_json:
                print_json(stored)
            else:
                sys.stdout.write(stored.id + "\n")


@baseline_app.command()
def bless(
    name: Name,
    ref: Ref,
    note: NoteOption = "",
    version: VersionOption = None,
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let NAME mean the report from now on. A report in a file joins the history by this."""
    with Client(server, key) as client:
        _print(client.bless(name, _reference(client, ref), note=note, version=version), as_json)


@baseline_app.command()
def show(name: Name, server: ServerOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """Tell which report NAME means."""
    with Client(server, key) as client:
        _print(client.baseline(name), as_json)


@baseline_app.command("list")
def list_(server: ServerOption = None, key: KeyOption = None) -> None:
    """List the baselines."""
    with Client(server, key) as client:
        for found in client.baselines():
            when = found.blessed_at.strftime("%Y-%m-%d %H:%M")
            line = f"{found.name}  version {found.version}  {found.report.id}  {when}  {visible(found.note)}"
            sys.stdout.write(line.rstrip() + "\n")


@baseline_app.command()
def history(name: Name, server: ServerOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """Tell who let NAME mean which report, when and why, newest first."""
    with Client(server, key) as client:
        for change in client.baseline_history(name):
            if as_json:
                print_json(change)
                continue
            when = change.at.strftime("%Y-%m-%d %H:%M")
            what = change.report or "given up"
            line = f"{change.version:>3}  {when}  {what}  {visible(change.by)}  {visible(change.note)}"
            sys.stdout.write(line.rstrip() + "\n")


@baseline_app.command()
def diff(
    name: Name,
    ref: Ref,
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how a report has changed from the one that NAME means. Nothing is decided by this."""
    with Client(server, key) as client:
        base = client.report(ReportReference(baseline=name))
        candidate = _fetch(client, ref)
    comparison = compare(base, candidate)
    sys.stdout.write(comparison.to_bytes().decode() if as_json else comparison_to_text(comparison))


@baseline_app.command()
def get(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the report JSON here.")],
    server: ServerOption = None,
    key: KeyOption = None,
) -> None:
    """Write the report that NAME means to a file, to keep it in a repository."""
    with Client(server, key) as client:
        output.write_bytes(client.report_as(ReportReference(baseline=name), "json"))


@baseline_app.command()
def delete(name: Name, version: VersionOption = None, server: ServerOption = None, key: KeyOption = None) -> None:
    """Give NAME up; its history stays."""
    with Client(server, key) as client:
        client.delete_baseline(name, version=version)
    stderr_console().print(f"{name} is given up", markup=False)


def _reference(client: Client, ref: str) -> ReportReference:
    """Return what a person means; a report in a file joins the history."""
    path = Path(ref)
    if path.is_file():
        load_report(path)
        return ReportReference(report=client.push_report(path).id)
    if "/" in ref or path.suffix == ".json":
        raise UsageError(f"there is no file {ref}")
    return meant(ref)


def _fetch(client: Client, ref: str) -> Report:
    """Return the report that a person means, without adding it to the history."""
    path = Path(ref)
    return load_report(path) if path.is_file() else client.report(ref)


def _print(baseline: Baseline, as_json: bool) -> None:
    if as_json:
        print_json(baseline)
        return
    report = baseline.report
    lines = [
        f"{baseline.name}  version {baseline.version}  {report.id}",
        f"{report.layers} layers, {report.classes} classes, {report.metric}, made by "
        + (report.analysis or f"{visible(report.created_by)} elsewhere"),
        f"blessed {baseline.blessed_at.strftime('%Y-%m-%d %H:%M')} by {visible(baseline.blessed_by)}"
        + (f": {visible(baseline.note)}" if baseline.note else ""),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
