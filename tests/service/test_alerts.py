"""The alerts fire when they should and only then, and speak of metrics that exist."""

import re
import subprocess
from pathlib import Path

import yaml

from contract.counters import Processes
from tests.programs import require
from tests.service.running import Service

FOLDER = Path(__file__).parents[2] / "deploy/prometheus"


def promtool(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [require("promtool"), "test", "rules", str(folder / "alerts_test.yml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_alerts_fire_when_they_should() -> None:
    result = promtool(FOLDER)
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_alert_that_does_not_fire_is_noticed(tmp_path: Path) -> None:
    for file in FOLDER.glob("*.yml"):
        (tmp_path / file.name).write_text(file.read_text().replace("seconds) > 600", "seconds) > 6000"))
    assert promtool(tmp_path).returncode == 1


def test_every_metric_of_the_alerts_exists(service: Service) -> None:
    caller = service.caller()
    caller.submit()
    here = Processes(service.stores.database)
    here.seen("worker", reconciles=True)
    there = set(re.findall(r"^(interlayer_\w+)[ {]", caller.http.get("/metrics").text, re.MULTILINE))
    here.gone()
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
    used = {name for rule in rules for name in re.findall(r"interlayer_\w+", rule["expr"])}
    assert len(used) >= 8
    assert used <= there


def test_every_alert_is_in_the_runbook() -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
    runbook = (FOLDER.parents[1] / "docs/runbook.md").read_text()
    assert [rule["alert"] for rule in rules if rule["alert"] not in runbook] == []
