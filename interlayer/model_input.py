"""A model and its data as an input of an analysis on a service."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contract.schemas import InputReference

NAMED = "name:"  # before what is no file but registered on the service


@dataclass(frozen=True)
class ModelInput:
    """A model to run and what to run it on: files to upload, or names after `name:`.

    Parameters
    ----------
    model, data : str
        An ONNX file and a file with `inputs` and `labels`, or names that `interlayer models` lists.
    pooling : str, optional
        What becomes of tokens: "none", "mean" or "cls".
    """

    model: str
    data: str
    state: str = "trained"
    split: str = "train"
    instance: str = "0"
    step: int | None = None
    pooling: str | None = None

    @property
    def files(self) -> list[Path]:
        """What must be uploaded."""
        return [Path(each) for each in (self.model, self.data) if not each.startswith(NAMED)]

    def reference(self, artifact: Callable[[Path], str]) -> InputReference:
        """Return the input as a request names it; `artifact` gives the id of an uploaded file."""

        def named(text: str) -> dict[str, str | None]:
            is_name = text.startswith(NAMED)
            return {"name": text.removeprefix(NAMED)} if is_name else {"artifact": artifact(Path(text))}

        return InputReference.model_validate(
            {
                "model": named(self.model) | {"pooling": self.pooling},
                "data": named(self.data),
                "state": self.state,
                "split": self.split,
                "instance": self.instance,
                "step": self.step,
            }
        )
