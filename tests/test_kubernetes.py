"""The example for Kubernetes: valid by the schemas of Kubernetes, the same stack as the compose file."""

import copy
import re
import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest

from contract.database import Database
from contract.metrics import Metrics
from contract.settings import Settings
from tests.manifests import (
    COMPOSE,
    CONFIG,
    DEPLOY,
    KUSTOMIZATION,
    OBJECTS,
    OWN,
    ROOT,
    WORKLOADS,
    Object,
    container_of,
    environment_of,
    objects_of,
    of_kind,
    pod_of,
    selects,
)

VERSIONS = ("1.33", "1.35", "1.37")


def check(found: Object, version: str) -> None:
    kubernetes_validate.validate(found, version, strict=True)


def settings_of(environment: dict[str, Any]) -> Settings:
    """Return the settings that a process reads; a variable of ours that is none is an error here."""
    prefix = "INTERLAYER_"
    found = {k.removeprefix(prefix).lower(): v for k, v in environment.items() if k.startswith(prefix)}
    assert found.keys() <= Settings.model_fields.keys()
    return Settings.model_validate(found)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(version: str) -> None:
    assert len(OBJECTS) > 25
    for each in OBJECTS:
        check(each, version)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "replica"), 1),  # misspelled
        ("Deployment", ("spec", "replicas"), "one"),
        ("Deployment", ("spec", "template", "spec", "containers"), None),
        ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), "many"),
        ("NetworkPolicy", ("spec", "podSelector"), []),
        ("PodDisruptionBudget", ("spec", "maxUnavailabe"), 1),
        ("Ingress", ("spec", "rules"), {}),
    ],
)
def test_a_mistake_is_found(kind: str, path: tuple[str, ...], value: object) -> None:
    wrong = copy.deepcopy(of_kind(kind)[0])
    place = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        check(wrong, VERSIONS[-1])


def test_what_kustomize_makes_of_it_is_valid_and_complete() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed; the files themselves are checked all the same")
    result = subprocess.run([kubectl, "kustomize", str(DEPLOY)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    made = objects_of(result.stdout)
    for each in made:
        check(each, VERSIONS[-1])
    names = {(each["kind"], each["metadata"]["name"]) for each in made if each["kind"] != "ConfigMap"}
    assert names == {(each["kind"], each["metadata"]["name"]) for each in OBJECTS}
    assert {each["metadata"].get("namespace", "interlayer") for each in made} == {"interlayer"}
    images = set(re.findall(r"image: (\S+)", result.stdout))
    assert not {image for image in images if image.startswith("interlayer-")}, "each has a registry and a version"
    config = {each["metadata"]["name"] for each in made if each["kind"] == "ConfigMap"}
    assert {re.sub(r"-[a-z0-9]{10}$", "", name) for name in config} == set(CONFIG)
    assert len(re.findall(r"configMapRef:\n\s+name: (\S+)", result.stdout)) > 0
    assert set(re.findall(r"configMapRef:\n\s+name: (\S+)", result.stdout)) <= config


def test_every_file_is_used_and_exists() -> None:
    assert sorted(KUSTOMIZATION["resources"]) == sorted(
        f"kubernetes/{p.name}" for p in (DEPLOY / "kubernetes").iterdir()
    )
    for each in KUSTOMIZATION["configMapGenerator"]:
        for name in each.get("files", []):
            assert (DEPLOY / name).is_file()
    used = {m["configMapRef"]["name"] for n in WORKLOADS for m in container_of(n).get("envFrom", [])}
    used |= {v["configMap"]["name"] for n in WORKLOADS for v in pod_of(n).get("volumes", []) if "configMap" in v}
    assert used == set(CONFIG)


def test_images_and_commands_are_those_of_the_compose_file() -> None:
    assert set(WORKLOADS) == set(COMPOSE)
    for name, definition in COMPOSE.items():
        container = container_of(name)
        target = definition.get("build", {}).get("target")
        assert container["image"] == (definition["image"] if target is None else f"interlayer-{target}"), name
        command = [word.replace("$$", "$") for word in definition.get("command", [])]
        assert container.get("command", []) == command, name
    own = {image["name"] for image in KUSTOMIZATION["images"]}
    assert own == {container_of(name)["image"] for name in OWN}


def test_variables_are_those_of_the_compose_file_and_of_a_bucket() -> None:
    here_alone = {"INTERLAYER_BLOBS_URL", "INTERLAYER_CACHE_BYTES", "INTERLAYER_METRICS_TOKEN", "AWS_REGION"}
    here_alone |= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PGDATA"}
    for name, definition in COMPOSE.items():
        if name != "proxy":
            assert set(environment_of(name)) - here_alone == set(definition["environment"]), name
    for name in ("worker-cpu", "worker-sandbox", "worker-gpu"):
        assert environment_of(name)["INTERLAYER_QUEUES"] == COMPOSE[name]["environment"]["INTERLAYER_QUEUES"]


@pytest.mark.parametrize("name", OWN)
def test_variables_are_settings_that_exist_and_their_values_are_valid(name: str) -> None:
    settings = settings_of(environment_of(name))
    assert settings.blobs_url is not None, "the data directory is shared by nobody"
    served = {queue for worker in OWN[2:] for queue in environment_of(worker)["INTERLAYER_QUEUES"].split(",")}
    if name == "service":
        assert {*settings.queue_names(), settings.model_queue} == served


@pytest.mark.parametrize("wrong", [{"INTERLAYER_CACHE_BYTE": "1"}, {"INTERLAYER_CACHE_BYTES": "many"}])
def test_a_variable_that_is_no_setting_is_found(wrong: dict[str, str]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        settings_of(environment_of("worker-cpu") | wrong)


def test_secrets_are_referred_to_and_all_are_in_the_page_that_says_how_to_make_them() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    for name in WORKLOADS:
        for item in container_of(name).get("env", []):
            if re.search("PASSWORD|SECRET|TOKEN|ACCESS_KEY|DATABASE_URL|BROKER_URL", item["name"]):
                assert item["valueFrom"]["secretKeyRef"]["name"] == "interlayer", item
                assert f"{item['valueFrom']['secretKeyRef']['key']}=" in page
    literals = str(KUSTOMIZATION)
    assert not re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY", literals)


def test_pods_have_the_time_to_end_that_the_compose_file_gives() -> None:
    for name in OWN[2:]:
        assert f"{pod_of(name)['terminationGracePeriodSeconds']}s" == COMPOSE[name]["stop_grace_period"]


def test_the_cache_fits_into_its_volume() -> None:
    for name in OWN[2:]:
        (volume,) = [each for each in pod_of(name)["volumes"] if each["name"] == "data"]
        limit = int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi")) * 2**30
        assert int(environment_of(name)["INTERLAYER_CACHE_BYTES"]) <= 0.7 * limit
        assert container_of(name)["resources"]["requests"]["ephemeral-storage"] == volume["emptyDir"]["sizeLimit"]


def test_probes_ask_what_the_service_answers() -> None:
    probes = [
        container_of("service")[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")
    ]
    assert probes == ["/healthz", "/healthz", "/readyz"]
    assert "server service:8000;" in (DEPLOY / "nginx.conf").read_text()
    assert container_of("service")["ports"][0]["containerPort"] == 8000
    assert f"listen {container_of('proxy')['ports'][0]['containerPort']};" in (DEPLOY / "nginx.conf").read_text()


def test_services_and_budgets_select_pods_that_exist() -> None:
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in WORKLOADS.values()]
    for each in of_kind("Service"):
        assert any(each["spec"]["selector"].items() <= known.items() for known in labels), each["metadata"]["name"]
    for each in of_kind("PodDisruptionBudget"):
        assert any(selects(each["spec"]["selector"], known) for known in labels), each["metadata"]["name"]
    for name, workload in WORKLOADS.items():
        assert selects(workload["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"]), name


def test_autoscalers_follow_metrics_that_exist(settings: Settings, database: Database) -> None:
    offered = {k.removeprefix("INTERLAYER_").lower(): v for k, v in environment_of("service").items() if "QUEUE" in k}
    text = Metrics(settings.model_copy(update=offered), database).text().decode()
    scaled = set()
    for each in of_kind("HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]["name"]
        scaled.add(target)
        for metric in each["spec"]["metrics"]:
            name, labels = metric["external"]["metric"]["name"], metric["external"]["metric"]["selector"]["matchLabels"]
            assert labels["queue"] in environment_of(target)["INTERLAYER_QUEUES"].split(",")
            for state in ("queued", "running"):
                assert f'{name}{{queue="{labels["queue"]}",state="{state}"}}' in text
    assert scaled == set(OWN[2:])
