"""What the containers may do: as little as their work allows. Compose file, Dockerfile and locks say so."""

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from contract.registry import load_registry

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OWN = ("service", "dispatcher", "worker-cpu", "worker-sandbox", "worker-gpu")


def weaknesses(compose: dict[str, Any]) -> list[str]:
    """Return what a service may do that it should not, as SERVICE: PROPERTY."""
    found = []
    for name, service in compose["services"].items():
        expected = {
            "user": re.fullmatch(r"[1-9]\d*:[1-9]\d*", str(service.get("user"))),
            "read_only": service.get("read_only") is True,
            "tmpfs": "/tmp" in service.get("tmpfs", []),
            "cap_drop": service.get("cap_drop") == ["ALL"],
            "cap_add": not service.get("cap_add"),
            "privileged": not service.get("privileged"),
            "security_opt": "no-new-privileges:true" in service.get("security_opt", []),
            "mem_limit": _variable(service.get("mem_limit")),
            "cpus": _variable(service.get("cpus")),
            "pids_limit": _variable(service.get("pids_limit")),
            "ports": name == "proxy" or "ports" not in service,
            "networks": service.get("networks") and (name == "proxy" or _internal(compose, service["networks"])),
            "network_mode": "network_mode" not in service,
            "volumes": not any("docker.sock" in str(volume) for volume in service.get("volumes", [])),
            "environment": all(
                ":?" in str(value) for value in service.get("environment", {}).values() if "PASSWORD" in str(value)
            ),
        }
        found += [f"{name}: {key}" for key, holds in expected.items() if not holds]
    return found


def _variable(value: object) -> bool:
    """Tell whether a limit is there and can be set from outside."""
    return re.fullmatch(r"\$\{INTERLAYER_\w+:-\w+\}", str(value)) is not None


def _internal(compose: dict[str, Any], networks: list[str]) -> bool:
    return all(compose["networks"][network].get("internal") is True for network in networks)


def test_every_service_is_hardened() -> None:
    assert weaknesses(COMPOSE) == []


@pytest.mark.parametrize("key", ["user", "read_only", "tmpfs", "cap_drop", "security_opt", "mem_limit", "pids_limit"])
def test_a_missing_property_is_found(key: str) -> None:
    weak = copy.deepcopy(COMPOSE)
    for service in weak["services"].values():
        del service[key]
    assert weaknesses(weak) == [f"{name}: {key}" for name in COMPOSE["services"]]


def test_a_secret_with_a_default_or_a_second_port_is_found() -> None:
    weak = copy.deepcopy(COMPOSE)
    weak["services"]["redis"]["environment"]["REDIS_PASSWORD"] = "${REDIS_PASSWORD:-guessed}"
    weak["services"]["postgres"]["ports"] = ["5432:5432"]
    weak["services"]["worker-cpu"]["networks"] = ["outside"]
    assert weaknesses(weak) == ["postgres: ports", "redis: environment", "worker-cpu: networks"]


def test_the_proxy_reaches_the_service_and_nothing_else() -> None:
    reached = set(COMPOSE["services"]["proxy"]["networks"])
    assert [n for n, s in COMPOSE["services"].items() if reached & set(s["networks"])] == ["service", "proxy"]


def test_every_queue_that_is_used_is_served() -> None:
    services = {name: COMPOSE["services"][name]["environment"] for name in OWN}
    served = {q for name, e in services.items() if name.startswith("worker") for q in e["INTERLAYER_QUEUES"].split(",")}
    assert services["service"]["INTERLAYER_MODEL_QUEUE"] == "${INTERLAYER_MODEL_QUEUE:-sandbox}"
    assert {"cpu", "gpu", "sandbox"} <= served
    assert COMPOSE["services"]["worker-gpu"]["profiles"] == ["gpu"], "nobody needs a GPU"
    mounted = [name for name in OWN if any("/models:ro" in str(v) for v in COMPOSE["services"][name]["volumes"])]
    assert mounted == ["service", "worker-sandbox", "worker-gpu"]
    registry = load_registry(ROOT / "deploy" / "models" / Path(services["service"]["INTERLAYER_MODELS_FILE"]).name)
    assert (registry.models, registry.data) == ({}, {})


def test_every_image_ends_as_an_ordinary_user_and_installs_by_hash() -> None:
    stages = {
        m[1]: m[2] for m in re.finditer(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    }
    for name in ("service", "worker-cpu", "worker-cuda"):
        assert re.findall(r"^USER (\S+)", stages[name], re.MULTILINE)[-1:] == ["10001:10001"], name
        assert "--require-hashes" in stages[name], name
    targets = {COMPOSE["services"][name]["build"]["target"] for name in OWN}
    assert targets == {"service", "worker-cpu", "worker-cuda"}


def locked(name: str) -> dict[str, str]:
    return dict(
        re.findall(r"^([a-z0-9_.-]+)==(\S+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
    )


def test_the_images_hold_what_their_extras_say() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {"service": ("service", "static"), "worker": ("worker", "models"), "worker-cuda": ("worker", "models")}
    for lock, names in wanted.items():
        required = {re.split(r"[\[>=<]", item)[0] for name in names for item in extras[name]} - {"interlayer"}
        missing = required - set(locked(lock))
        # Where there is no GPU, torch comes from the index of the CPU builds, in the version of the other image.
        assert missing == ({"torch"} if lock == "worker" else set()), lock
    assert f"ARG TORCH_VERSION={locked('worker-cuda')['torch']}\n" in DOCKERFILE
    assert f"torch=={locked('worker-cuda')['torch']}" in extras["models"]
    assert not [name for name in locked("worker") if name.startswith(("nvidia", "cuda", "triton"))]
