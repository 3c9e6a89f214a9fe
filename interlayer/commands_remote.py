"""Commands that talk to a service; it is named by INTERLAYER_SERVER and INTERLAYER_KEY, or by options."""

import sys
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from contract.schemas import Analysis, AnalysisRequest, Estimate
from interlayer import inputs as given
from interlayer.client import Client
from interlayer.commands_local import (
    CsvOption,
    FullOption,
    HtmlOption,
    JsonOption,
    MarkdownOption,
    OutputOption,
    PaperCsvOption,
    PngOption,
    SvgOption,
    TestsCsvOption,
)
from interlayer.errors import AnalysisFailed
from interlayer.model_input import ModelInput
from interlayer.output import Targets, print_json, progress_line, stderr_console, write_report
from interlayer.render.text import visible
from interlayer.report_file import load_report

ServerOption = Annotated[str | None, typer.Option("--server", help="URL of the service [INTERLAYER_SERVER].")]
KeyOption = Annotated[str | None, typer.Option("--key", help="API key [INTERLAYER_KEY].")]
AnalysisId = Annotated[str, typer.Argument(metavar="ID", help="Id of an analysis.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (submit, status, watch, cancel, report, keys):
        app.command()(command)
    app.command("list")(list_)


def submit(
    files: given.Sources,
    state: given.StateOption = "trained",
    split: given.SplitOption = "train",
    instance: given.InstanceOption = "0",
    metric: given.MetricOption = "euclidean",
    layer: given.LayerOption = None,
    exclude: given.ExcludeOption = None,
    component: given.ComponentOption = None,
    per_class: given.PerClassOption = "equal",
    seed: given.SeedOption = 0,
    n_resamples: given.ResamplesOption = 50_000,
    method: given.MethodOption = "auto",
    classes: given.ClassesOption = "fixed",
    device: given.DeviceOption = "auto",
    fields: given.SetOption = None,
    tag: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, to find the analysis by; may be repeated.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key finds the same analysis, however often it is submitted.")
    ] = None,
    only_estimate: Annotated[
        bool, typer.Option("--estimate", help="Upload the files and tell what the analysis would take; submit nothing.")
    ] = False,
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload files of activations, or models and their data, and submit an analysis of them. Prints its id."""
    options = given.parse_options(
        metric=metric,
        layer=layer,
        exclude=exclude,
        component=component,
        per_class=per_class,
        seed=seed,
        n_resamples=n_resamples,
        method=method,
        classes=classes,
        device=device,
        fields=fields,
    )
    inputs = given.parse_sources(files, state, split, instance)
    tags = dict(item.partition("=")[::2] for item in tag or [])
    console = stderr_console()
    with Client(server, key) as client:

        @cache
        def uploaded(path: Path) -> str:
            artifact = client.upload(path)
            console.print(f"uploaded {visible(path.name)}  {artifact.bytes:,} bytes", markup=False)
            return artifact.id

        references = []
        for item in inputs:
            if isinstance(item, ModelInput):
                references.append(item.reference(uploaded).model_dump())
            else:
                references.append(item.reference(uploaded(Path(item.path))).model_dump())
        request = AnalysisRequest.model_validate({"inputs": references, "tags": tags, **options})
        if only_estimate:
            _print_estimate(client.estimate(request), as_json)
            return
        analysis = client.submit(request, idempotency_key=idempotency_key)
    _print(analysis, as_json)


def status(
    analysis_id: AnalysisId, server: ServerOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """Tell how an analysis is doing."""
    with Client(server, key) as client:
        analysis = client.status(analysis_id)
    if as_json:
        print_json(analysis)
        return
    progress = analysis.progress
    stage = f"  {progress.fraction:.0%}  {visible(progress.stage)}" if analysis.status == "running" else ""
    lines = [f"{analysis.id}  {analysis.status}{stage}"]
    if analysis.error is not None:
        lines.append(f"{analysis.error.title}: {visible(analysis.error.detail)} [{analysis.error.code}]")
    sys.stdout.write("\n".join(lines) + "\n")


def watch(
    analysis_id: AnalysisId,
    timeout: Annotated[float | None, typer.Option(help="Give up watching after so many seconds.")] = None,
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch an analysis until it has ended. Ctrl-C stops watching, not the analysis."""
    with Client(server, key) as client, progress_line() as line:
        analysis = client.wait(analysis_id, timeout=timeout, on_progress=line.analysis)
    _print(analysis, as_json)
    if analysis.error is not None:
        raise AnalysisFailed(analysis.error)


def cancel(
    analysis_id: AnalysisId, server: ServerOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    """Cancel an analysis."""
    with Client(server, key) as client:
        _print(client.cancel(analysis_id), as_json)


def report(
    analysis_id: Annotated[
        str, typer.Argument(metavar="REF|FILE", help="An analysis, a report, a baseline, or a report.json.")
    ],
    output: OutputOption = None,
    html: HtmlOption = None,
    csv: CsvOption = None,
    tests_csv: TestsCsvOption = None,
    paper_csv: PaperCsvOption = None,
    markdown: MarkdownOption = None,
    svg: SvgOption = None,
    png: PngOption = None,
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
    full: FullOption = False,
) -> None:
    """Show a report, of an analysis or a file, or write it in other forms."""
    path = Path(analysis_id)
    if path.is_file():
        found = load_report(path)
    else:
        with Client(server, key) as client:
            found = client.report(analysis_id)
    write_report(found, Targets(output, html, csv, tests_csv, paper_csv, markdown, svg, as_json, full, png))


def list_(
    status: Annotated[str | None, typer.Option(help="Only those of this status.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with the tag NAME:VALUE.")] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 20,
    server: ServerOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List analyses, newest first."""
    filters = {name: value for name, value in (("status", status), ("tag", tag)) if value is not None}
    with Client(server, key) as client:
        page = client.analyses(limit=limit, **filters)
    if as_json:
        print_json(page)
        return
    for item in page.items:
        tags = " ".join(f"{name}={value}" for name, value in item.tags.items())
        when = item.created_at.strftime("%Y-%m-%d %H:%M")
        sys.stdout.write(f"{item.id}  {item.status:<9}  {when}  {visible(tags)}\n".rstrip() + "\n")


def keys(
    create: Annotated[str | None, typer.Option(metavar="NAME", help="Make a key of this name and print it.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="Of the new key: read, submit, admin; may be repeated.")
    ] = None,
    delete: Annotated[str | None, typer.Option(metavar="ID", help="Revoke this key.")] = None,
    rotate: Annotated[str | None, typer.Option(metavar="ID", help="Give this key a new secret and print it.")] = None,
    overlap: Annotated[float, typer.Option(help="Seconds that the old secret of a rotated key stays valid.")] = 86400.0,
    server: ServerOption = None,
    key: KeyOption = None,
) -> None:
    """List the API keys, make one, rotate one, or revoke one."""
    with Client(server, key) as client:
        if create is not None:
            sys.stdout.write(client.create_key(create, scope or ["read", "submit"]).key + "\n")
        elif rotate is not None:
            sys.stdout.write(client.rotate_key(rotate, overlap_seconds=overlap).key + "\n")
        elif delete is not None:
            client.delete_key(delete)
        else:
            for item in client.api_keys():
                scopes = ",".join(item.scopes)
                sys.stdout.write(f"{item.id}  {scopes:<18}  {visible(item.name)}\n")


def _print_estimate(found: Estimate, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    time = found.time_class if found.seconds is None else f"about {found.seconds:,g} s of computing"
    rows = "all rows" if found.rows_per_class is None else f"{found.rows_per_class:,} rows"
    lines = [
        time,
        f"{found.memory_bytes / 1e6:,.0f} MB of memory",
        f"{found.class_pairs:,} pairs of classes, {rows} of each, {found.spanning_trees:,} spanning trees",
        *(visible(note) for note in found.notes),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _print(analysis: Analysis, as_json: bool) -> None:
    if as_json:
        print_json(analysis)
    else:
        sys.stdout.write(analysis.id + "\n")
