"""Seconds of each kind of work on one thread of the reference machine (AMD EPYC, AVX-512 VNNI), and bytes of memory.

Measured and written by ``python -m bench --only costs``.
"""

SECONDS: dict[str, dict[str, float]] = {
    "pairs": {
        "call": 0.0019,
        "class": 7.47e-05,
        "pair": 0.0,
        "row": 1.16e-06,
        "row_of_pair": 1.59e-07,
        "value": 7.61e-09,
        "converted_value": 3.38e-09,
        "normalised_value": 8.61e-09,
        "distance": 7.69e-10,
        "crowded_row_of_pair": 1.06e-06,
        "difference": 0.0,
        "wide_difference": 3.32e-10,
        "product": 8.42e-12,
    },
    "measurement": {
        "call": 0.00108,
        "class": 4.73e-05,
        "pair": 0.0,
        "row": 4.64e-07,
        "row_of_pair": 1.39e-07,
        "value": 6.86e-09,
        "converted_value": 1.97e-09,
        "normalised_value": 5.59e-09,
        "distance": 6.97e-10,
        "crowded_row_of_pair": 1.03e-06,
        "difference": 0.0,
        "wide_difference": 3.3e-10,
        "product": 1.02e-11,
    },
    "scores": {
        "pair": 0.002,
        "row_of_pair": 1e-06,
        "distance": 4e-09,
        "product": 2e-11,
        "value_of_pair": 1e-09,
    },
    "reading": {
        "stored_byte": 4.46e-10,
        "inflated_byte": 3.29e-09,
        "mapped_byte": 2.76e-11,
        "drawn_byte": 1.26e-10,
        "file": 0.000455,
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
