"""The example for Kubernetes: what its pods may do, and whom they may speak to."""

import copy
from collections.abc import Iterator

import pytest

from tests.manifests import WORKLOADS, Object, container_of, of_kind, selects


def weaknesses(workloads: dict[str, Object]) -> Iterator[str]:
    for name, workload in workloads.items():
        pod = workload["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        outer, inner = pod.get("securityContext", {}), container.get("securityContext", {})
        limits = container.get("resources", {}).get("limits", {})
        mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        expected = {
            "runAsNonRoot": outer.get("runAsNonRoot") is True and outer.get("runAsUser", 0) > 0,
            "seccompProfile": outer.get("seccompProfile") == {"type": "RuntimeDefault"},
            "readOnlyRootFilesystem": inner.get("readOnlyRootFilesystem") is True,
            "allowPrivilegeEscalation": inner.get("allowPrivilegeEscalation") is False,
            "capabilities": inner.get("capabilities") == {"drop": ["ALL"]},
            "automountServiceAccountToken": pod.get("automountServiceAccountToken") is False,
            "resources": {"cpu", "memory"} <= limits.keys() and container["resources"].get("requests"),
            "volumes": not any("hostPath" in volume for volume in volumes.values()),
            "host": not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
            "tmp": "/tmp" in mounts and "sizeLimit" in volumes[mounts["/tmp"]["name"]].get("emptyDir", {}),
            "image": container["image"].startswith("interlayer-") or ":" in container["image"],
        }
        yield from (f"{name}: {key}" for key, holds in expected.items() if not holds)


def test_every_pod_is_confined() -> None:
    assert list(weaknesses(WORKLOADS)) == []


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("pod", "automountServiceAccountToken"),
        ("outer", "runAsNonRoot"),
        ("outer", "seccompProfile"),
        ("inner", "readOnlyRootFilesystem"),
        ("inner", "allowPrivilegeEscalation"),
        ("inner", "capabilities"),
        ("container", "resources"),
    ],
)
def test_a_missing_confinement_is_found(place: str, key: str) -> None:
    weak = copy.deepcopy(WORKLOADS)
    for workload in weak.values():
        pod = workload["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        places = {"pod": pod, "outer": pod["securityContext"], "container": container}
        del (places | {"inner": container["securityContext"]})[place][key]
    assert list(weaknesses(weak)) == [f"{name}: {key}" for name in WORKLOADS]


def _admitted(direction: str, own: dict[str, str], other: dict[str, str], port: int) -> bool:
    """Tell whether the policies admit traffic in a direction between two pods of the namespace."""
    side, rules = ("from" if direction == "Ingress" else "to"), []
    for policy in of_kind("NetworkPolicy"):
        spec = policy["spec"]
        if direction in spec["policyTypes"] and selects(spec["podSelector"], own):
            rules += spec.get(direction.lower(), [])
    return any(
        port in [each["port"] for each in rule["ports"]]
        and any(selects(peer.get("podSelector"), other) for peer in rule[side] if "namespaceSelector" not in peer)
        for rule in rules
    )


def test_who_speaks_to_whom() -> None:
    labels = {name: workload["spec"]["template"]["metadata"]["labels"] for name, workload in WORKLOADS.items()}
    ports = {
        name: container_of(name)["ports"][0]["containerPort"] for name in WORKLOADS if "ports" in container_of(name)
    }
    found = {
        (one, other)
        for one in WORKLOADS
        for other, port in ports.items()
        if one != other
        and _admitted("Egress", labels[one], labels[other], port)
        and _admitted("Ingress", labels[other], labels[one], port)
    }
    workers = ("worker-cpu", "worker-sandbox", "worker-gpu")
    expected = {("proxy", "service"), ("service", "postgres"), ("dispatcher", "postgres"), ("dispatcher", "redis")}
    assert found == expected | {(worker, other) for worker in workers for other in ("postgres", "redis")}
    closed = next(each for each in of_kind("NetworkPolicy") if each["spec"]["podSelector"] == {})
    assert closed["spec"]["policyTypes"] == ["Ingress", "Egress"], "what no policy names is refused"
