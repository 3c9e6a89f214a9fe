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
# Not permissive by its metadata, and why it is used all the same.
ACCEPTED = {
    "certifi": "MPL-2.0: a list of certificates, used unchanged",
    "resvg-py": "MIT, by the licence file of the package, whose metadata name none",
    "tqdm": "MPL-2.0 and MIT: used unchanged",
    "psycopg": "LGPL-3.0: used unchanged as a library, on PostgreSQL only",
    "psycopg-binary": "LGPL-3.0: used unchanged as a library, on PostgreSQL only",
}


def main() -> int:
    """Print the table; return 1 where a licence is not accepted."""
    wanted = {"torch"} | {  # the CPU build, in no lock
        _normal(name)
        for file in ("service.txt", "worker.txt")
        for name in re.findall(r"^([A-Za-z0-9_.-]+)==", (FOLDER / file).read_text(), re.MULTILINE)
    }
    command = [str(Path(sys.executable).parent / "pip-licenses"), "--format=json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - our own
    rows, refused = table([item for item in found if _normal(item["Name"]) in wanted])
    print("# Licences of what the images install\n\nWritten by `make audit`, from the packages' own metadata.")  # noqa: T201 - the result
    print("The image for CUDA also holds NVIDIA's libraries, under NVIDIA's own licences.\n")  # noqa: T201 - the result
    print("| package | version | licence |\n|---|---|---|")  # noqa: T201 - the result
    print("\n".join(rows))  # noqa: T201 - the result
    for line in refused:
        print(f"not known to be permissive: {line}", file=sys.stderr)  # noqa: T201 - a command
    return 1 if refused else 0


def table(packages: list[dict[str, str]]) -> tuple[list[str], list[str]]:
    """Return the rows of the table, and the packages whose licence is not accepted."""
    rows, refused = [], []
    for item in sorted(packages, key=lambda item: item["Name"].lower()):
        name, licence = _normal(item["Name"]), item["License"]
        rows.append(f"| {item['Name']} | {item['Version']} | {ACCEPTED.get(name, licence)} |")
        if name not in ACCEPTED and not _permissive(licence):
            refused.append(f"{item['Name']}: {licence}")
    return rows, refused


def _permissive(licence: str) -> bool:
    parts = re.split(r" AND |; ", licence)
    return all(PERMISSIVE.search(part) and "GPL" not in part for part in parts)


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


if __name__ == "__main__":
    sys.exit(main())
