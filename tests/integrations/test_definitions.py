"""What we ship for other people's pipelines is what their systems accept, and the check of that can fail."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integrations.runner import ROOT

FILES = [
    ("action.yml", "vendor.github-actions"),
    ("integrations/gitlab/interlayer.gitlab-ci.yml", "vendor.gitlab-ci"),
    ("examples/ci/pipeline.github.yml", "vendor.github-workflows"),
    ("examples/ci/pipeline.gitlab.yml", "vendor.gitlab-ci"),
]


def checked(document: Any, schema: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "checked.yml"
    # Jobs that start with a dot are templates, which the schema of GitLab lets pass unseen. And YAML 1.1 reads `on` as
    # a truth value.
    path.write_text(
        yaml.safe_dump({"on" if name is True else name.lstrip("."): value for name, value in document.items()})
    )
    transform = ["--data-transform", "gitlab-ci"] if "gitlab" in schema else []
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *transform, str(path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(("file", "schema"), FILES)
def test_a_file_fits_the_schema_of_its_system(tmp_path: Path, file: str, schema: str) -> None:
    result = checked(yaml.safe_load((ROOT / file).read_text()), schema, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("file", "schema"), FILES)
def test_a_mistake_would_be_noticed(tmp_path: Path, file: str, schema: str) -> None:
    document = yaml.safe_load((ROOT / file).read_text())
    if schema == "vendor.github-actions":
        document["runs"]["steps"][0].pop("shell")
    elif schema == "vendor.github-workflows":
        document["jobs"]["train"].pop("runs-on")
    else:
        document["audit" if "audit" in document else ".interlayer-audit"]["artifacts"] = "all"
    assert checked(document, schema, tmp_path).returncode == 1


def test_what_users_give_never_becomes_a_part_of_a_script() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert all("${{" not in step["run"] for step in action["runs"]["steps"])
