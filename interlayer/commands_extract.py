"""`interlayer extract`: a model and data to a file of activations, on this machine; and `interlayer models`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from interlayer.client import Client
from interlayer.commands_local import JsonOption
from interlayer.commands_remote import KeyOption, ServerOption
from interlayer.output import print_json, stderr_console
from interlayer.render.text import visible


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(extract)
    app.command()(models)


def extract(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="An .onnx file, module:function that makes a PyTorch model, or a Hugging Face folder."
        ),
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="An .npz or .safetensors file: labels, and inputs (or an array for each input's name)."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the activations here (.safetensors).")],
    weights: Annotated[Path | None, typer.Option(help="A .safetensors file of the model's parameters.")] = None,
    layer: Annotated[list[str] | None, typer.Option(help="Layers by name or glob; may be repeated.")] = None,
    per_class: Annotated[int | None, typer.Option(help="At most so many rows of each class.", min=1)] = None,
    pooling: Annotated[str, typer.Option(help="Of tokens: none, mean, cls or last.")] = "none",
    batch_size: Annotated[int, typer.Option(help="Rows at a time.", min=1)] = 64,
    dtype: Annotated[str | None, typer.Option(help="float16 or float32; by default as the model computes.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample of rows, and of weights that are drawn.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Run a model of yours over data and write the activations of its layers. Your code is imported and run here."""
    from interlayer.extract import Extraction
    from interlayer.extract import extract as run

    options = Extraction(
        layers=layer or "auto", per_class=per_class, pooling=pooling, batch_size=batch_size, dtype=dtype, seed=seed,
        device=device, weights=weights,
    )  # fmt: skip
    found = run(model, data, output, options)
    if as_json:
        content = {"path": str(found.path), "layers": found.shapes, "rows": found.counts, "left_out": found.left_out}
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
        return
    for name, shape in found.shapes.items():
        sys.stdout.write(f"{visible(name)}  {'x'.join(map(str, shape))}\n")
    for name, why in found.left_out.items():
        stderr_console().print(f"left out: {visible(name)}, {why}", markup=False)
    stderr_console().print(f"{output}: {sum(found.counts.values())} rows of {len(found.counts)} classes", markup=False)


def models(server: ServerOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """List the models and data sets that analyses on the service may name."""
    with Client(server, key) as client:
        offer = client.models()
    if as_json:
        print_json(offer)
        return
    for model in offer.models:
        state = "trained" if model.trained else "untrained only"
        sys.stdout.write(f"model  {visible(model.name)}  {state}  {visible(model.description)}".rstrip() + "\n")
    for data in offer.data:
        sys.stdout.write(f"data  {visible(data.name)}  {visible(data.description)}".rstrip() + "\n")
    if not offer.models and not offer.data:
        sys.stderr.write("no model and no data set is registered on this service\n")
