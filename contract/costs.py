"""What each unit of an analysis costs, predicted from shapes alone: seconds on a reference machine, and peak memory.

Every unit is a sum of a few kinds of work, each counted from the shape of a layer and multiplied by a measured
constant (`contract.cost_constants`, which names the command that fits them). Neither numpy nor the core is needed, so
that the service, the planner of parts and the workers all judge by the same functions.
"""

from collections.abc import Mapping
from dataclasses import replace

from contract.cost_constants import BYTES, SECONDS
from contract.shapes import NOTHING, ONE_THREAD, Cost, Processor, Shape

LARGEST_DIRECT = 16
"""Up to so many features distances are differences, beyond them they come from inner products."""
MOST_PAIRS_FOR_EXACT = 515
"""Ways to choose half of twice as many values are no longer numbers of float64; the test draws resamples then."""
IDLE_BYTES = 300_000_000
"""What a computing process has allocated before it computes: libraries, stacks of threads, compiled kernels."""
_PART_ROWS = 1024
_CHUNK_BYTES = 2**24
_FLOAT32_HOLDS = frozenset(("bool", "int8", "uint8", "int16", "uint16", "float16"))
_RESHUFFLES = 300  # between the 20 that a rebuilt membership test makes at least, and 999; see `membership`


def work(shape: Shape) -> dict[str, float]:
    """Count the kinds of work of one measurement of all pairs of classes; each has a constant of seconds."""
    rows, classes, features = shape.rows, shape.classes, shape.features
    distances, values = rows * rows / 2, rows * features
    direct = features <= LARGEST_DIRECT
    wide = shape.metric == "cosine" or not (shape.dtype in _FLOAT32_HOLDS or shape.dtype in ("float32", "bfloat16"))
    return {
        "call": 1.0,
        "class": classes,
        "pair": shape.pairs,
        "row": rows,
        "row_of_pair": rows * (classes - 1),
        "value": values,
        "converted_value": 0.0 if shape.dtype == "float32" else values,
        "normalised_value": values if shape.metric == "cosine" else 0.0,
        "distance": distances,
        "crowded_row_of_pair": rows * (classes - 1) / features,
        "difference": distances * features if direct else 0.0,
        "wide_difference": distances * features if direct and wide else 0.0,
        "product": 0.0 if direct else distances * features,
    }


_IN_ONE_THREAD = frozenset(("call", "row", "value", "converted_value", "normalised_value"))


def _seconds(amounts: Mapping[str, float], table: str, processor: Processor) -> float:
    constants = SECONDS[table]
    return sum(
        constants[kind] * amount / (1 if kind in _IN_ONE_THREAD else processor.threads)
        for kind, amount in amounts.items()
    )


def reading(shape: Shape) -> Cost:
    """Read one layer of a file and pick the rows that are used; its memory is what that takes for a moment."""
    rows = shape.file_rows or shape.rows
    stored = rows * shape.features * shape.width
    drawn = shape.rows * shape.features * shape.width if shape.file_rows else 0
    constants = SECONDS["reading"]
    kind = "mapped_byte" if shape.mapped else "inflated_byte" if shape.compressed else "stored_byte"
    seconds = constants["file"] + constants[kind] * stored + constants["drawn_byte"] * drawn
    widened = 8 * rows * shape.features if shape.dtype == "bfloat16" else 0
    return Cost(seconds, stored + drawn + widened)


def held_bytes(shape: Shape) -> int:
    """Memory that the rows of a layer take while it is measured; pages of a mapped file count."""
    return _row_bytes(shape)


def allocated_to_read(shape: Shape) -> int:
    """The part of the memory of `reading` that is not pages of a mapped file."""
    stored = (shape.file_rows or shape.rows) * shape.features * shape.width
    return reading(shape).memory_bytes - (stored if shape.mapped else 0)


def pairs(shape: Shape, processor: Processor = ONE_THREAD) -> Cost:
    """All pairs of classes on all rows, and whether there is any separation."""
    return Cost(_seconds(work(shape), "pairs", processor), _measured_bytes(shape, processor))


def class_trees(shape: Shape, processor: Processor = ONE_THREAD) -> Cost:
    """Trees of the classes alone, for blocks of pairs."""
    amounts = work(shape)
    for kind in ("distance", "difference", "product"):
        amounts[kind] /= shape.classes
    amounts |= {"pair": 0.0, "row_of_pair": 0.0}
    return Cost(_seconds(amounts, "pairs", processor), _measured_bytes(shape, processor))


def pair_block(shape: Shape, n_pairs: int, processor: Processor = ONE_THREAD) -> Cost:
    """`n_pairs` of the pairs, from trees that are there; every block reads and packs all rows."""
    amounts = work(shape)
    share = n_pairs / shape.pairs
    for kind in ("pair", "row_of_pair", "distance", "difference", "product"):
        amounts[kind] *= share
    amounts["class"] = 0.0
    return Cost(_seconds(amounts, "pairs", processor), _measured_bytes(shape, processor))


def fold_plan(shape: Shape) -> tuple[int, int]:
    """Return random divisions and folds of each, as `hpcore.folds.fold_plan` has them; (0, 0): too few rows."""
    if shape.smallest >= 80:
        return 10, 5
    return (10, shape.smallest // 16) if shape.smallest >= 32 else (0, 0)


def fold_cells(shape: Shape, n_cells: int | None = None, processor: Processor = ONE_THREAD) -> Cost:
    """Cells of the random divisions, side by side in the threads; by default all of them."""
    repeats, folds = fold_plan(shape)
    n_cells = repeats * folds if n_cells is None else n_cells
    if not folds or not n_cells:
        return NOTHING
    return _cells(shape, folds, n_cells, processor)


def trend(shape: Shape, processor: Processor = ONE_THREAD) -> Cost:
    """Four quarters and two halves of the rows."""
    return _cells(shape, 4, 4, processor) + _cells(shape, 2, 2, processor)


def further_draws(shape: Shape, n_draws: int, processor: Processor = ONE_THREAD) -> Cost:
    """More draws of the rows, each read and measured."""
    one = reading(shape) + _measurement(shape, processor)
    return Cost(n_draws * one.seconds, one.memory_bytes)


def membership(train: Shape, validation: Shape, method: str, processor: Processor = ONE_THREAD) -> Cost:
    """Test training against validation data by `method` ``score`` or ``rebuild``.

    ``rebuild`` makes between 20 and 999 reshuffles, as the data decide; what is returned is for 300.
    """
    both = _joined(train, validation)
    if method == "score":
        return Cost(_seconds(_scoring_work(both), "scores", Processor()), _scored_bytes(both))
    seconds = (1 + _RESHUFFLES) * sum(_measurement(each, processor).seconds for each in (train, validation))
    larger = max(train, validation, key=lambda each: each.rows)
    return Cost(seconds, _row_bytes(both) + _row_bytes(larger) + _measurement(larger, processor).memory_bytes)


def shift(train: Shape, validation: Shape) -> Cost:
    """Compare the two sets class by class, in one thread."""
    both = _joined(train, validation)
    rows = both.rows // both.classes
    one = _measurement(replace(both, rows=rows, classes=2, smallest=rows // 2), Processor())
    return Cost(
        both.classes * one.seconds, _row_bytes(both) + 2 * _row_bytes(replace(both, rows=rows)) + one.memory_bytes
    )


def pair_tests(
    n_pairs: int, n_tests: int, n_resamples: int, *, smallest: int = 1000, n_alternatives: int = 2, method: str = "auto"
) -> Cost:
    """Every test over the pairs of a study: exact where there are few pairs, else by resamples that they share.

    The exact distribution is one of whole numbers up to about the rows of the `smallest` class; where ties have been
    averaged they are not whole, and it may take up to 256 MiB. `n_alternatives` says for how many kinds of alternative
    there are tests: each draws for itself.
    """
    if not n_tests:
        return NOTHING
    constants = SECONDS["tests"]
    seconds = n_tests * (constants["test"] + constants["pair"] * n_pairs)
    kept = BYTES["test_of_pair"] * n_tests * n_pairs
    if method != "monte_carlo" and n_pairs <= MOST_PAIRS_FOR_EXACT:
        return Cost(
            seconds + n_tests * constants["exact_cell"] * n_pairs**2,
            int(kept + BYTES["exact_state"] * n_pairs**2 * smallest / 3),
        )
    cells = n_resamples * 2 * n_pairs
    seconds += cells * (n_alternatives * constants["drawn_cell"] + n_tests * constants["drawn_test"])
    at_once = max(2 * n_pairs, min(cells, 2**22))
    return Cost(seconds, int(kept + BYTES["drawn_cell"] * at_once + 8 * n_resamples * n_tests))


def shared_rows(train: Shape, validation: Shape) -> Cost:
    """Look for rows of the training data among the validation data, in all rows of one layer."""
    constants, seconds, rows = SECONDS["digests"], 0.0, 0
    for each in (train, validation):
        rows = each.file_rows or each.rows
        seconds += (
            reading(each).seconds + constants["row"] * rows + constants["byte"] * rows * each.features * each.width
        )
    return Cost(seconds, int(BYTES["digest"] * rows))


def assembly(n_layers: int, n_pairs: int, n_tests: int) -> Cost:
    """Make a report of all layers of all inputs, and write it down."""
    constants = SECONDS["assembly"]
    seconds = constants["report"] + n_layers * (constants["layer"] + constants["pair"] * n_pairs)
    memory = n_layers * (BYTES["layer"] + BYTES["pair"] * n_pairs) + BYTES["test"] * n_tests
    return Cost(seconds + constants["test"] * n_tests, int(memory))


def kept_bytes(n_layers: int, n_pairs: int) -> int:
    """Results of the measured layers, kept until the report is made."""
    return int(n_layers * (BYTES["measured_layer"] + BYTES["measured_pair"] * n_pairs))


def _measurement(shape: Shape, processor: Processor) -> Cost:
    """One `pairwise_henze_penrose` of rows in memory."""
    return Cost(_seconds(work(shape), "measurement", processor), _measured_bytes(shape, processor))


def _cells(shape: Shape, share: int, n_cells: int, processor: Processor) -> Cost:
    """Measurements of disjoint parts of the rows, one to a thread."""
    at_once = min(processor.threads, n_cells)
    one = _measurement(shape.part(share), replace(processor, threads=1, budget_bytes=processor.budget_bytes // at_once))
    own = one.memory_bytes + _row_bytes(shape.part(share))
    rounds = -(-n_cells // at_once)
    return Cost(rounds * one.seconds, at_once * own)


def _scoring_work(both: Shape) -> dict[str, float]:
    """One tree over the rows of each pair, in one thread; they are converted for it."""
    values = both.rows * both.features
    distances = both.rows * both.rows / 2 * (both.classes - 1) / both.classes * 2
    return {
        "pair": both.pairs,
        "row_of_pair": both.rows * (both.classes - 1),
        "distance": distances,
        "product": distances * both.features,
        "value_of_pair": values * (both.classes - 1),
    }


def _joined(train: Shape, validation: Shape) -> Shape:
    return replace(train, rows=train.rows + validation.rows, smallest=train.smallest + validation.smallest)


def _row_bytes(shape: Shape) -> int:
    """The rows as an array; a bfloat16 becomes a float32."""
    return shape.rows * shape.features * (4 if shape.dtype == "bfloat16" else shape.width)


def _copied_bytes(shape: Shape) -> int:
    """What `hpcore.distances.distinct_points` copies."""
    values = shape.rows * shape.features
    if shape.metric == "cosine":
        return 8 * values
    return (
        4 * values
        if shape.dtype in _FLOAT32_HOLDS
        else 0
        if shape.dtype.startswith(("float", "bfloat"))
        else 8 * values
    )


def _measured_bytes(shape: Shape, processor: Processor) -> int:
    """The core's working memory: packed rows, a block for each thread, and the edges it keeps."""
    size = min(shape.rows, _PART_ROWS) + 32
    row = BYTES["row"] + (BYTES["direct_row"] if shape.features <= LARGEST_DIRECT else 2 * shape.features)
    blocks = processor.threads * size * (4 * size + BYTES["block_row"])
    working = shape.rows * row + blocks + BYTES["counted_pair"] * shape.pairs - BYTES["idle"]
    own = _copied_bytes(shape) + max(_normalising_bytes(shape), working, BYTES["least"])
    return int(min(own, processor.budget_bytes or own))


def _normalising_bytes(shape: Shape) -> int:
    """Rows are divided by their length in float64, a chunk after the other: two copies of it."""
    if shape.metric != "cosine":
        return 0
    return 16 * min(shape.rows * shape.features, _CHUNK_BYTES // shape.width)


def _scored_bytes(both: Shape) -> int:
    """Scores over a tree of each pair, whose points are float64."""
    of_pair = replace(both, rows=2 * both.rows // both.classes, classes=2, dtype="float64", metric="euclidean")
    return _row_bytes(both) + _copied_bytes(both) + _row_bytes(of_pair) + _measured_bytes(of_pair, Processor())
