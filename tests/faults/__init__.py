"""The fault suite: real processes are killed, frozen, starved and deceived, and every promise about jobs is checked.

`python -m tests.faults --form short` runs it; `--without GUARD` shows that it notices when a guard is taken away.
"""
