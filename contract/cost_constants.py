"""Seconds of each kind of work on one thread of the reference machine (AMD EPYC, AVX-512 VNNI), and bytes of memory.

Measured and written by ``python -m bench --only costs``.
"""

SECONDS: dict[str, dict[str, float]] = {
    "pairs": {
        "call": 0.00137,
        "class": 0.000135,
        "pair": 1.05e-06,
        "row": 9.8e-07,
        "row_of_pair": 8.55e-08,
        "value": 8.93e-09,
        "converted_value": 3.23e-09,
        "normalised_value": 8.4e-09,
        "distance": 9.9e-10,
        "crowded_row_of_pair": 1.23e-06,
        "difference": 0.0,
        "wide_difference": 4.41e-10,
        "product": 8.72e-12,
    },
    "measurement": {
        "call": 0.000968,
        "class": 8.06e-05,
        "pair": 9.64e-07,
        "row": 3.11e-07,
        "row_of_pair": 8.42e-08,
        "value": 7.84e-09,
        "converted_value": 2.34e-09,
        "normalised_value": 4.72e-09,
        "distance": 6.86e-10,
        "crowded_row_of_pair": 1.34e-06,
        "difference": 0.0,
        "wide_difference": 3.5e-10,
        "product": 1.13e-11,
    },
    "scores": {
        "pair": 0.002,
        "row_of_pair": 1e-06,
        "distance": 4e-09,
        "product": 2e-11,
        "value_of_pair": 1e-09,
    },
    "reading": {
        "stored_byte": 4.78e-10,
        "inflated_byte": 3.37e-09,
        "mapped_byte": 3.83e-11,
        "drawn_byte": 1.83e-10,
        "file": 0.000612,
    },
    "tests": {
        "test": 0.0001,
        "pair": 1e-06,
        "exact_cell": 1.2e-06,
        "drawn_cell": 2.05e-08,
        "drawn_test": 5e-10,
    },
    "digests": {
        "row": 1.5e-06,
        "byte": 1.2e-09,
    },
    "assembly": {
        "report": 0.002,
        "layer": 0.0002,
        "pair": 2.5e-06,
        "test": 0.0001,
    },
}

BYTES: dict[str, float] = {
    "block_row": 9400.0,
    "row": 250.0,
    "direct_row": 400.0,
    "counted_pair": 220.0,
    "idle": 1e7,
    "least": 2.5e5,
    "drawn_cell": 34.0,
    "exact_state": 5.0,
    "digest": 120.0,
    "test_of_pair": 32.0,
    "measured_layer": 4e3,
    "measured_pair": 96.0,
    "layer": 1e4,
    "pair": 430.0,
    "test": 5e3,
}
