"""The command `interlayer reproduce`. Light to import: what computes is imported when it runs."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from contract.schemas import Metric
from interlayer.errors import UsageError
from interlayer.output import progress_line

_PERCENT = 100

ExperimentName = Literal["cifar10-random", "cifar10-true", "mnist", "digits-random", "digits-true", "digits-noisy"]
_METRICS: dict[str, tuple[Metric, ...]] = {
    "euclidean": ("euclidean",),
    "cosine": ("cosine",),
    "both": ("euclidean", "cosine"),
}


def reproduce(
    experiment: Annotated[ExperimentName, typer.Option(help="What to run; digits-* need no data.")],
    metric: Annotated[Literal["euclidean", "cosine", "both"], typer.Option(help="Distance.")] = "euclidean",
    instances: Annotated[int, typer.Option(min=1, help="Networks to train, each from its own seed.")] = 5,
    data: Annotated[Path | None, typer.Option(help="Folder of the MNIST or CIFAR-10 files.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most epochs of a training.")] = None,
    per_class: Annotated[int | None, typer.Option(min=2, help="Images of each class that are analysed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="Where networks are trained: cpu or cuda.")] = "cpu",
    out: Annotated[Path, typer.Option(help="Folder of the results; a later run goes on there.")] = Path("reproduction"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Run an experiment of the paper again. Writes tables S-1 to S-18, figures, and which of its claims hold."""
    from interlayer.reproduce import comparison, results
    from interlayer.reproduce.experiments import EXPERIMENTS
    from interlayer.reproduce.study import Study, run

    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device is {device!r}; it may be cpu or cuda")
    chosen = EXPERIMENTS[experiment]
    if epochs is not None:
        chosen = dataclasses.replace(chosen, training=dataclasses.replace(chosen.training, max_epochs=epochs))
    if per_class is not None:
        chosen = dataclasses.replace(chosen, per_class=per_class)
    folder = out / experiment
    study = Study(chosen, folder, data, instances, seed, device)
    with progress_line() as line:
        reports = run(
            study,
            _METRICS[metric],
            lambda doing, share: line.update(doing, round(_PERCENT * share), _PERCENT, share),
        )
    verdicts = results.write(chosen, reports, folder)
    if as_json:
        sys.stdout.write(comparison.to_json(verdicts))
        return
    console = Console()
    comparison.print_verdicts(verdicts, console)
    console.print(f"{folder / 'comparison.md'}; reports, tables and figures beside it", markup=False, highlight=False)
