"""Commands that need no service: `analyze`, `warmup`, `reproduce`, and `up`, which starts one."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from interlayer import inputs as given
from interlayer.errors import AnalysisFailed
from interlayer.output import Targets, progress_line, write_report
from interlayer.reproduce.command import reproduce

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="Write the report JSON here.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write a self-contained page here.")]
CsvOption = Annotated[Path | None, typer.Option("--csv", help="Write a table of every pair value here.")]
TestsCsvOption = Annotated[Path | None, typer.Option("--tests-csv", help="Write a table of every test result here.")]
PaperCsvOption = Annotated[Path | None, typer.Option("--paper-csv", help="Write tables in the paper's layout here.")]
SvgOption = Annotated[
    Path | None, typer.Option("--svg", help="Write the picture of the layers here; into a folder, every chart.")
]
PngOption = Annotated[Path | None, typer.Option("--png", help="The same as PNG; needs the extra `static`.")]
FullOption = Annotated[bool, typer.Option("--full", help="Print every table, also those with nothing in them.")]
MarkdownOption = Annotated[Path | None, typer.Option("--markdown", help="Write a Markdown summary here.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(analyze)
    app.command()(up)
    app.command()(warmup)
    app.command()(reproduce)


def analyze(
    files: given.Files,
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
    threads: Annotated[int | None, typer.Option(help="Threads to use; all by default.")] = None,
    output: OutputOption = None,
    html: HtmlOption = None,
    csv: CsvOption = None,
    tests_csv: TestsCsvOption = None,
    paper_csv: PaperCsvOption = None,
    markdown: MarkdownOption = None,
    svg: SvgOption = None,
    png: PngOption = None,
    as_json: JsonOption = False,
    full: FullOption = False,
) -> None:
    """Analyse files of activations in this process, without a service."""
    from interlayer.local import analyze as run

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
    inputs = given.parse_inputs(files, state, split, instance)
    targets = Targets(output, html, csv, tests_csv, paper_csv, markdown, svg, as_json, full, png)
    targets.require_places()
    try:
        with progress_line() as line:
            line.update("loading the numerical core (the first time, it is compiled)", 0, 1, 0.0)
            report = run(inputs, options, n_threads=threads, on_progress=line.update)
    except AnalysisFailed as error:
        if as_json:
            sys.stdout.write(error.problem.model_dump_json(exclude_none=True) + "\n")
        raise
    write_report(report, targets)


def warmup() -> None:
    """Compile the numerical core, so that the first analysis starts at once. Once for this machine and version."""
    from interlayer.local import warm_up

    with progress_line() as line:
        line.update("compiling the numerical core, once for this machine", 0, 1, 0.0)
        seconds = warm_up()
    sys.stderr.write(f"ready after {seconds:.1f} s\n")


def up(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8000,
    data: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path("interlayer-data"),
    broker: Annotated[bool, typer.Option("--broker", help="Use Celery with a Redis-compatible server.")] = False,
) -> None:
    """Run the whole service on this machine until Ctrl-C. Prints its URL and key as one JSON line."""
    from interlayer.stack import Stack

    stack = Stack(data, host, port, broker=broker)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stack.stop)
    try:
        stack.start()
        sys.stdout.write(json.dumps({"url": stack.url, "key": stack.key}) + "\n")
        sys.stdout.flush()
        stack.watch()
    finally:
        stack.close()
