"""Seconds of each kind of work on one thread of the reference machine (AMD EPYC, Zen 3, AVX2), and bytes of memory.

Measured and written by ``python -m bench --only costs``.
"""

SECONDS: dict[str, dict[str, float]] = {
    "pairs": {
        "call": 9.4e-4,
        "class": 1.16e-4,
        "pair": 4.12e-7,
        "row": 3.72e-6,
        "row_of_pair": 8.67e-8,
        "value": 1.15e-8,
        "converted_value": 3.42e-9,
        "normalised_value": 2.65e-9,
        "distance": 1.33e-9,
        "crowded_row_of_pair": 2.22e-6,
        "difference": 4.84e-11,
        "wide_difference": 9.41e-10,
        "product": 1.43e-11,
    },
    "measurement": {
        "call": 5.17e-4,
        "class": 8.03e-5,
        "pair": 0.0,
        "row": 1.46e-6,
        "row_of_pair": 6.52e-8,
        "value": 1.16e-8,
        "converted_value": 4.35e-9,
        "normalised_value": 5.44e-9,
        "distance": 8.14e-10,
        "crowded_row_of_pair": 1.93e-06,
        "difference": 7.66e-11,
        "wide_difference": 7.93e-10,
        "product": 1.5e-11,
    },
    "scores": {"pair": 2e-3, "row_of_pair": 1e-6, "distance": 4e-9, "product": 2e-11, "value_of_pair": 1e-9},
    "reading": {
        "file": 5e-4,
        "mapped_byte": 3e-10,
        "stored_byte": 1e-9,
        "inflated_byte": 6e-9,
        "drawn_byte": 5e-10,
    },
    "tests": {"test": 1.0e-4, "pair": 1.0e-6, "exact_cell": 1.2e-6, "drawn_cell": 2.05e-8, "drawn_test": 5e-10},
    "digests": {"row": 1.5e-6, "byte": 1.2e-9},
    "assembly": {"report": 2e-3, "layer": 2e-4, "pair": 2.5e-6, "test": 1e-4},
}

BYTES: dict[str, float] = {
    "block_row": 9400.0,
    "row": 250.0,
    "direct_row": 400.0,
    "counted_pair": 220.0,
    "idle": 1e7,
    "least": 2.5e5,
    "drawn_cell": 34.0,
    "exact_state": 12.0,
    "digest": 120.0,
    "test_of_pair": 32.0,
    "measured_layer": 4e3,
    "measured_pair": 96.0,
    "layer": 1e4,
    "pair": 430.0,
    "test": 5e3,
}
