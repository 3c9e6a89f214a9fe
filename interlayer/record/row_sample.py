"""Which rows of a stream of batches a recording keeps, and the classes they belong to."""

from typing import TYPE_CHECKING, Any

from interlayer.record.activation_file import Places
from interlayer.record.errors import RecordingError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RowSample:
    """Give every kept row its place in the file.

    Without a limit each row is kept in the order of arrival. With a limit per class, a reservoir (Vitter's
    algorithm R) holds a uniform sample of each class: a later row may take the place of an earlier one.
    """

    def __init__(self, per_class: int | None, seed: int) -> None:
        import numpy as np

        self._per_class = per_class
        self._rng = np.random.default_rng(seed)
        self._labels: list[int] | list[str] = []
        self._seen: dict[int | str, int] = {}
        self._places: dict[int | str, list[int]] = {}

    def place(self, labels: Any) -> "tuple[NDArray[Any] | None, Places]":
        """Give, for a batch with `labels`, the rows that are kept (None: all) and their ascending places."""
        import numpy as np

        values = label_values(labels)
        if self._labels and values and type(values[0]) is not type(self._labels[0]):
            raise RecordingError("labels are integers in one batch and strings in another")
        if self._per_class is None:
            first = len(self._labels)
            self._labels.extend(values)  # type: ignore[arg-type]  # both lists hold the same type, checked above
            return None, range(first, len(self._labels))
        kept: dict[int, int] = {}
        for row, label in enumerate[int | str](values):
            if (place := self._place(label)) is not None:
                kept[place] = row
        places = sorted(kept)
        rows = [kept[place] for place in places]
        in_order = rows == list(range(len(values)))
        neighbours = bool(places) and places == list(range(places[0], places[0] + len(places)))
        return (
            None if in_order else np.array(rows, dtype=np.int64),
            range(places[0], places[0] + len(places)) if neighbours else np.array(places, dtype=np.int64),
        )

    def _place(self, label: int | str) -> int | None:
        assert self._per_class is not None
        seen = self._seen.get(label, 0)
        self._seen[label] = seen + 1
        places = self._places.setdefault(label, [])
        if seen < self._per_class:
            places.append(len(self._labels))
            self._labels.append(label)  # type: ignore[arg-type]  # all labels have one type, checked in `place`
            return places[-1]
        drawn = int(self._rng.integers(seen + 1))
        return places[drawn] if drawn < self._per_class else None

    def counts(self) -> dict[int | str, int]:
        """Kept rows of each class, classes ascending."""
        import numpy as np

        classes, counts = np.unique(np.array(self._labels), return_counts=True)
        return dict(zip(classes.tolist(), counts.tolist(), strict=True))

    def codes(self) -> "tuple[NDArray[Any], list[str]]":
        """Give the label of each row of the file as int64 and, where labels are strings, the names these number."""
        import numpy as np

        labels = np.array(self._labels)
        if labels.dtype.kind != "U":
            return labels.astype(np.int64), []
        names, codes = np.unique(labels, return_inverse=True)
        return codes.astype(np.int64), names.tolist()


def label_values(labels: Any) -> list[int] | list[str]:
    """Give the labels of a batch as a list of integers or of strings."""
    import numpy as np

    array = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels)
    if array.ndim != 1:
        raise RecordingError(
            f"labels have shape {array.shape}; give one integer or string per row (for one-hot labels: "
            "`labels.argmax(1)`)"
        )
    if array.dtype.kind not in "biuU":
        raise RecordingError(f"labels have the data type {array.dtype}; give integers or strings")
    values: list[int] | list[str] = array.astype(np.int64).tolist() if array.dtype.kind in "biu" else array.tolist()
    return values
