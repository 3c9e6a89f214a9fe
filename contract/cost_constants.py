"""Seconds of each kind of work on one thread of the reference machine (AMD EPYC, Zen 3, AVX2), and bytes of memory.

Measured and written by ``python -m bench --only costs``.
"""

SECONDS: dict[str, dict[str, float]] = {
    "pairs": {
        "call": 0.00251,
        "class": 7.16e-05,
        "pair": 0.0,
        "row": 3.56e-06,
        "row_of_pair": 1.29e-07,
        "value": 1.12e-08,
        "converted_value": 4.01e-09,
        "normalised_value": 1.09e-09,
        "distance": 1.16e-09,
        "crowded_row_of_pair": 2.35e-06,
        "difference": 8.32e-11,
        "wide_difference": 7.23e-10,
        "product": 1.33e-11,
    },
    "measurement": {
        "call": 0.00149,
        "class": 4.39e-05,
        "pair": 0.0,
        "row": 2.21e-06,
        "row_of_pair": 9.33e-08,
        "value": 1.18e-08,
        "converted_value": 1.94e-09,
        "normalised_value": 2.7e-09,
        "distance": 9.23e-10,
        "crowded_row_of_pair": 1.77e-06,
        "difference": 5.88e-11,
        "wide_difference": 6.6e-10,
        "product": 1.35e-11,
    },
    "scores": {
        "pair": 0.002,
        "row_of_pair": 1e-06,
        "distance": 4e-09,
        "product": 2e-11,
        "value_of_pair": 1e-09,
    },
    "reading": {
        "stored_byte": 4.77e-10,
        "inflated_byte": 3.55e-09,
        "mapped_byte": 5.03e-11,
        "drawn_byte": 2.01e-10,
        "file": 0.000513,
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
