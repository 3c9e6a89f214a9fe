"""What cannot be recorded is refused by name, and the file of yesterday stays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from interlayer.record import RecordingError, record
from tests.interlayer.recordings import ONE, ZERO


class _Returns(nn.Module):
    def __init__(self, result: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.result = result

    def forward(self, x: Tensor) -> Any:
        return self.result(x)


class _InNeed(nn.Module):
    """Calls its second stage for long inputs only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return torch.as_tensor(self.second(x) if x.sum() > 0 else x)


class _Masked(nn.Module):
    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        return x + attention_mask[:, :, None]


REFUSED: dict[str, tuple[nn.Module, list[Any], dict[str, Any], str]] = {
    "no tensor": (nn.Sequential(_Returns(lambda _: (1, None))), [(ONE, [0, 1])], {}, "returned a tuple without a"),
    "pooling": (nn.ReLU(), [(ONE, [0, 1])], {"pooling": "max"}, "`pooling` is 'max'"),
    "no token": (
        _Masked(),
        [{"x": torch.ones(2, 3, 4), "attention_mask": torch.eye(2, 3, dtype=torch.long) * 0, "labels": [0, 1]}],
        {"pooling": "mean"},
        "has no token",
    ),
    "rows": (_Returns(lambda x: x.reshape(-1, 1) + 1), [(ONE, [0, 1])], {}, r"'0._Returns' has shape \(4, 1\)"),
    "scalar": (_Returns(torch.sum), [(ONE, [0, 1])], {}, r"'0._Returns' has shape \(\)"),
    "labels": (nn.ReLU(), [(ONE, [0, 1, 1])], {}, "'0.Input' has shape .* the batch has 3 labels"),
    "NaN": (_Returns(torch.log), [(-ONE, [0, 1])], {}, "'0._Returns' holds NaN or infinity$"),
    "complex": (_Returns(lambda x: x * 1j), [(ONE, [0, 1])], {}, "'0._Returns' has the data type torch.complex64"),
    "shape": (nn.ReLU(), [(ONE, [0, 1]), (torch.ones(2, 3), [0, 1])], {}, r"'0.Input' gave rows of shape \(3,\)"),
    "appears": (_InNeed(), [(ZERO, [0, 1]), (ONE, [0, 1])], {}, "'0.Tanh' was called in this batch, but not"),
    "vanishes": (_InNeed(), [(ONE, [0, 1]), (ZERO, [0, 1])], {}, "'0.Tanh' was not called in this batch"),
    "silent": (_InNeed(), [(ZERO, [0, 1])], {"layers": ["first", "second"]}, "'second' was not called by the model"),
    "unknown": (_InNeed(), [(ZERO, [0, 1])], {"layers": ["secnd"]}, "no layer 'secnd'; near it are 'second'"),
    "no layers": (_InNeed(), [(ZERO, [0, 1])], {"layers": []}, "`layers`"),
    "one string": (_InNeed(), [(ZERO, [0, 1])], {"layers": "first"}, "`layers`"),
    "no rows": (nn.ReLU(), [], {}, "nothing was recorded"),
    "empty rows": (nn.ReLU(), [(torch.ones(2, 0), [0, 1])], {}, "'0.Input' cannot be recorded: it is empty"),
    "one-hot": (nn.ReLU(), [(ONE, torch.eye(2))], {}, "argmax"),
    "real labels": (nn.ReLU(), [(ONE, torch.rand(2))], {}, "data type float32"),
    "mixed labels": (nn.ReLU(), [(ONE, [0, 1]), (ONE, ["a", "b"])], {}, "integers in one batch and strings"),
    "type": (nn.ReLU(), [(ONE, [0, 1])], {"dtype": "float8"}, "`dtype` is 'float8'"),
    "sample": (nn.ReLU(), [(ONE, [0, 1])], {"per_class": 0}, "`per_class` is 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_what_is_wrong_and_leave_the_old_file(tmp_path: Path, case: str) -> None:
    model, loader, options, message = REFUSED[case]
    path = tmp_path / "a.safetensors"
    path.write_text("the file of yesterday")
    with pytest.raises(RecordingError, match=message):
        record(model, loader, path, **options)
    assert path.read_text() == "the file of yesterday"
    assert list(tmp_path.iterdir()) == [path]
