"""The example for Kubernetes, read: its objects, its pods, and the compose file beside it."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
Object = dict[str, Any]


def objects_of(text: str) -> list[Object]:
    return [each for each in yaml.safe_load_all(text) if each is not None]


OBJECTS = [each for name in KUSTOMIZATION["resources"] for each in objects_of((DEPLOY / name).read_text())]
CONFIG = {
    each["name"]: dict(literal.split("=", 1) for literal in each.get("literals", []))
    for each in KUSTOMIZATION["configMapGenerator"]
}


def of_kind(*kinds: str) -> list[Object]:
    return [each for each in OBJECTS if each["kind"] in kinds]


WORKLOADS = {each["metadata"]["name"]: each for each in of_kind("Deployment", "StatefulSet")}
OWN = ("service", "dispatcher", "worker-cpu", "worker-sandbox", "worker-gpu")


def pod_of(name: str) -> Object:
    found: Object = WORKLOADS[name]["spec"]["template"]["spec"]
    return found


def container_of(name: str) -> Object:
    (found,) = pod_of(name)["containers"]
    return dict(found)


def environment_of(name: str) -> dict[str, Any]:
    """Return the variables of a container: their value, or the key of the secret that has it."""
    container = container_of(name)
    found: dict[str, Any] = {}
    for source in container.get("envFrom", []):
        found |= CONFIG[source["configMapRef"]["name"]]
    for item in container.get("env", []):
        found[item["name"]] = item["value"] if "value" in item else item["valueFrom"]["secretKeyRef"]["key"]
    return found


def selects(selector: Object | None, labels: dict[str, str]) -> bool:
    return selector is not None and selector.get("matchLabels", {}).items() <= labels.items()
