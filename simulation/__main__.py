"""``python -m simulation [--measure]``: simulate a cluster; write docs/scaling.md and its pictures."""

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from simulation.page import write_page

_MEASURED = Path(__file__).parent / "measurements.json"


def main() -> None:
    """Simulate from measurements.json, or measure first."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=main.__doc__)
    parser.add_argument(
        "--measure", action="store_true", help="measure databases and real runs anew, on a quiet machine"
    )
    if parser.parse_args().measure:
        from simulation.measure import measurements

        load = os.getloadavg()[0]
        found = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "load_before": load, **measurements()}
        _MEASURED.write_text(json.dumps(found, indent=1) + "\n")
    write_page(json.loads(_MEASURED.read_text()), Path(__file__).parents[1] / "docs")


if __name__ == "__main__":
    main()
