"""Seconds of each kind of work on one thread of the reference machine (AMD EPYC, AVX-512 VNNI), and bytes of memory.

Measured and written by ``python -m bench --only costs``.
"""

SECONDS: dict[str, dict[str, float]] = {
    "pairs": {
        "call": 0.00161,
        "class": 5.91e-05,
        "pair": 1.7e-06,
        "row": 1.58e-06,
        "row_of_pair": 9.08e-08,
        "value": 6.35e-09,
        "converted_value": 4.98e-09,
        "normalised_value": 5.83e-09,
        "distance": 5.61e-10,
        "crowded_row_of_pair": 9.39e-07,
        "difference": 0.0,
        "wide_difference": 3.61e-10,
        "product": 5.65e-12,
    },
    "measurement": {
        "call": 0.00083,
        "class": 5.51e-05,
        "pair": 1.29e-06,
        "row": 5.41e-07,
        "row_of_pair": 7.94e-08,
        "value": 5.64e-09,
        "converted_value": 4.89e-09,
        "normalised_value": 6.32e-09,
        "distance": 5.17e-10,
        "crowded_row_of_pair": 1.06e-06,
        "difference": 0.0,
        "wide_difference": 3.34e-10,
        "product": 6.74e-12,
    },
    "scores": {
        "pair": 0.002,
        "row_of_pair": 1e-06,
        "distance": 4e-09,
        "product": 2e-11,
        "value_of_pair": 1e-09,
    },
    "reading": {
        "stored_byte": 4.03e-10,
        "inflated_byte": 3.12e-09,
        "mapped_byte": 2.46e-11,
        "drawn_byte": 7.35e-11,
        "file": 0.000439,
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
