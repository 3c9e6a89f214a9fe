"""Do validation data hold rows of the training data? Then what they say is not about data held out."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from contract.schemas import SharedRows
from hpcore.study import StateKey
from worker.arrays import Array
from worker.measuring import Measured, StudyInput


def shared_rows(
    inputs: Sequence[StudyInput], measured: Mapping[StateKey, Mapping[str, Measured]]
) -> Iterator[SharedRows]:
    """Yield, for every network with both splits, how many validation rows are training rows, bit for bit.

    All rows of the files count, used or not. They are compared at the layer with the fewest repeated rows: rows that
    are the same there came from the same data, while a layer late in a network may give many rows the same values.
    """
    by_key = {item.key: item for item in inputs}
    for key, validation in by_key.items():
        train = by_key.get(StateKey(key.instance, key.state, "train", key.step))
        if key.split != "validation" or train is None:
            continue
        layer = min(
            validation.layers,
            key=lambda name: sum(
                measured[item.key][name].layer.separation.n_duplicates for item in (train, validation)
            ),
        )
        held_out, known = _digests(validation.load_all(layer)), set(_digests(train.load_all(layer)))
        yield SharedRows(
            instance=key.instance,
            state=key.state,
            step=key.step,
            layer=layer,
            n_train=len(train.file.codes),
            n_validation=len(held_out),
            n_shared=sum(digest in known for digest in held_out),
            n_repeated=len(held_out) - len(set(held_out)),
        )


def _digests(rows: Array) -> list[bytes]:
    """Return a digest of every row's bytes."""
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
