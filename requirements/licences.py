"""Print the licences of what the images install, as docs/licences.md; fail where one is not known to be permissive."""

import json
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PERMISSIVE = re.compile(
    r"MIT|BSD|0BSD|Apache|PSF|Python Software Foundation|ISC|Zlib|CC0|CNRI|BSL-1\.0|HPND", re.IGNORECASE
)
# Not permissive, and why it is used all the same.
ACCEPTED = {
    "certifi": "MPL-2.0: a list of certificates, used unchanged",
    "psycopg": "LGPL-3.0: used unchanged as a library, on PostgreSQL only",
    "psycopg-binary": "LGPL-3.0: used unchanged as a library, on PostgreSQL only",
}


def main() -> int:
    """Print the table; return 1 where a licence is not accepted."""
    wanted = {
        name.lower().replace("_", "-")
        for file in ("service.txt", "worker.txt")
        for name in re.findall(r"^([A-Za-z0-9_.-]+)==", (FOLDER / file).read_text(), re.MULTILINE)
    }
    command = [str(Path(sys.executable).parent / "pip-licenses"), "--format=json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - our own
    rows, refused = [], []
    for item in sorted(found, key=lambda item: item["Name"].lower()):
        name = item["Name"].lower().replace("_", "-")
        if name not in wanted:
            continue
        rows.append(f"| {item['Name']} | {item['Version']} | {ACCEPTED.get(name, item['License'])} |")
        parts = re.split(r" AND |; ", item["License"])
        if name not in ACCEPTED and not all(PERMISSIVE.search(part) and "GPL" not in part for part in parts):
            refused.append(f"{item['Name']}: {item['License']}")
    print("# Licences of what the images install\n\nWritten by `make audit`, from the packages' own metadata.\n")  # noqa: T201 - the result
    print("| package | version | licence |\n|---|---|---|")  # noqa: T201 - the result
    print("\n".join(rows))  # noqa: T201 - the result
    for line in refused:
        print(f"not known to be permissive: {line}", file=sys.stderr)  # noqa: T201 - a command
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
