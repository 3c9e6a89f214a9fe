"""Ask for known vulnerabilities of what the images install.

Exit code 0: every package was looked up and nothing is known. 1: something is known. 2: not everything could be looked
up, and of the rest nothing is known.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
LOCKS = ("service.txt", "worker.txt", "worker-cuda.txt")


def audited(lock: Path) -> list[dict[str, Any]] | None:
    """Return what pip-audit says of each package of a lock; None where it comes to no result."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [str(Path(sys.executable).with_name("pip-audit")), "--progress-spinner=off", "--disable-pip"]
        command += ["--require-hashes", "--requirement", str(lock), "--format=json", "--output", str(result)]
        run = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own
        if result.exists() and result.stat().st_size:
            return list(json.loads(result.read_text())["dependencies"])
    sys.stderr.write(run.stderr.strip().splitlines()[-1] + "\n" if run.stderr.strip() else "")
    return None


def verdict(answers: dict[str, list[dict[str, Any]] | None]) -> tuple[int, list[str]]:
    """Return the exit code and what to print, from what was said of each lock."""
    known, unknown, lines = False, False, []
    for lock, packages in answers.items():
        skipped = [item["name"] for item in packages or [] if "skip_reason" in item]
        for item in packages or []:
            for found in item.get("vulns", []):
                known = True
                fixed = ", ".join(found.get("fix_versions", [])) or "no release"
                lines.append(f"{lock}: {item['name']} {item['version']}: {found['id']}, fixed in {fixed}")
        if not packages or len(skipped) == len(packages):
            unknown = True
            lines.append(f"{lock}: the vulnerability service could not be reached, so nothing is known of it")
        elif skipped:
            unknown = True
            lines.append(
                f"{lock}: {len(skipped)} of {len(packages)} packages could not be looked up: {', '.join(skipped)}"
            )
        elif not any(item.get("vulns") for item in packages):
            lines.append(f"{lock}: {len(packages)} packages, no known vulnerability")
    return (1 if known else 2 if unknown else 0), lines


def main() -> int:
    """Audit every lock."""
    code, lines = verdict({name: audited(FOLDER / name) for name in LOCKS})
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
