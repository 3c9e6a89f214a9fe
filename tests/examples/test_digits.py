"""The study on real digits shows what the paper shows, on the very pipeline of the demo."""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from contract.schemas import AnalysisRequest
from examples.digits.activations import recordings, study_key
from examples.digits.analysis import COMPONENTS
from examples.digits.data import STUDIES, Study, digits
from examples.digits.network import BATCH_SIZE, digits_network, train
from hpcore import pairwise_henze_penrose
from interlayer.record import RecordingError, record

PAPER_LAYERS = [
    *("0.Input", "1.Conv", "1.ReLU", "2.Conv", "2.ReLU", "2.MaxPool", "3.Conv", "3.ReLU", "4.Conv", "4.ReLU"),
    *("4.MaxPool", "5.Dense", "5.ReLU", "6.Dense", "6.Softmax"),
]
MEASURED = ["0.Input", "2.MaxPool", "4.MaxPool", "5.ReLU", "6.Dense", "6.Softmax"]
ONE_INSTANCE = {study.name: dataclasses.replace(study, n_instances=1) for study in STUDIES}

Means = dict[tuple[str, str], dict[str, float]]


@pytest.fixture(scope="module")
def cache() -> Iterator[Path]:
    # Not `tmp_path`, which pytest keeps for three runs: these are hundreds of megabytes.
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def means(study: str, cache: Path) -> Means:
    """Mean Henze-Penrose statistic over the 45 pairs of digits, by (state, split) and layer."""
    result: Means = {}
    for file in recordings(ONE_INSTANCE[study], cache):
        arrays = load_file(file.path)
        result[file.state, file.split] = {
            layer: float(pairwise_henze_penrose(arrays[layer], arrays["labels"]).statistic.mean()) for layer in MEASURED
        }
    return result


# The mean of 45 pairs of about 90 + 90 images has a standard error of .02 where classes do not differ (pairs that
# share a class depend on each other); .1 is five of them.
NOISE = 0.1


def test_random_labels_are_memorized_in_the_dense_layers_and_nowhere_on_validation(cache: Path) -> None:
    found = means("digits-random", cache)
    train, validation = found["trained", "train"], found["trained", "validation"]
    assert abs(train["0.Input"]) < NOISE
    assert abs(train["2.MaxPool"]) < NOISE
    assert train["6.Softmax"] > 0.95
    dense_gain = train["6.Softmax"] - train["4.MaxPool"]
    assert dense_gain > 0.5 * (train["6.Softmax"] - train["0.Input"])
    assert all(abs(value) < NOISE for value in validation.values())
    assert all(abs(value) < NOISE for split in ("train", "validation") for value in found["untrained", split].values())


def test_true_labels_are_learned_without_a_gap(cache: Path) -> None:
    found = means("digits-true", cache)
    for layer in MEASURED:
        train, validation = found["trained", "train"][layer], found["trained", "validation"][layer]
        assert train > 0.95
        assert validation > 0.95
        assert abs(train - validation) < 0.03


def test_noise_leaves_the_layers_work_that_does_not_carry_over(cache: Path) -> None:
    found = means("digits-noisy", cache)
    train, validation = found["trained", "train"], found["trained", "validation"]
    assert 0.2 < train["0.Input"] < 0.4
    assert train["0.Input"] < train["2.MaxPool"] < train["4.MaxPool"] < train["5.ReLU"] < train["6.Softmax"]
    assert train["6.Softmax"] > 0.95
    assert all(0.2 < value < 0.5 for value in validation.values())


def test_an_untrained_head_loses_separation(cache: Path) -> None:
    found = means("digits-true", cache)
    for split in ("train", "validation"):
        untrained = found["untrained", split]
        assert abs(untrained["5.ReLU"] - untrained["0.Input"]) < 0.05
        assert -0.25 < untrained["6.Dense"] - untrained["5.ReLU"] < -0.08


def test_the_files_hold_the_paper_s_layers_of_the_same_images_in_every_state(cache: Path) -> None:
    study = ONE_INSTANCE["digits-true"]
    splits = digits(study, 0)
    files = recordings(study, cache)
    assert {(file.instance, file.state, file.split) for file in files} == {
        ("0", state, split) for state in ("untrained", "trained") for split in ("train", "validation")
    }
    for file in files:
        arrays = load_file(file.path)
        assert sorted(arrays) == sorted([*PAPER_LAYERS, "labels"])
        np.testing.assert_array_equal(arrays["0.Input"], splits[file.split].images)
        np.testing.assert_array_equal(arrays["labels"], splits[file.split].labels)
    accuracy = {
        file.split: (load_file(file.path)["6.Softmax"].argmax(1) == splits[file.split].labels).mean()
        for file in files
        if file.state == "trained"
    }
    assert accuracy["train"] == 1.0
    assert accuracy["validation"] > 0.9


def test_the_untrained_twin_has_the_initial_weights(cache: Path) -> None:
    file = recordings(ONE_INSTANCE["digits-true"], cache)[0]
    arrays = load_file(file.path)
    with torch.no_grad():
        expected = digits_network(seed=0)(torch.from_numpy(arrays["0.Input"]))
    np.testing.assert_allclose(arrays["6.Softmax"], expected.numpy(), atol=1e-6)


class TestData:
    """The split and the labels."""

    @pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
    def test_splits_are_disjoint_and_equally_large_in_every_class(self, study: Study) -> None:
        splits = digits(study, 0)
        train, validation = splits["train"], splits["validation"]
        np.testing.assert_array_equal(np.bincount(train.labels), np.bincount(validation.labels))
        assert np.bincount(train.labels).min() >= 87
        images = np.concatenate([train.images, validation.images]).reshape(-1, 64)
        assert len(np.unique(images, axis=0)) == len(images)

    def test_random_labels_are_a_permutation_of_both_splits_anew_for_each_instance(self) -> None:
        truth = digits(STUDIES[0], 0)
        first, second = digits(STUDIES[1], 0), digits(STUDIES[1], 1)
        for split in ("train", "validation"):
            np.testing.assert_array_equal(first[split].images, truth[split].images)
            np.testing.assert_array_equal(np.sort(first[split].labels), np.sort(truth[split].labels))
            assert (first[split].labels == truth[split].labels).mean() < 0.2
            assert (first[split].labels == second[split].labels).mean() < 0.2

    def test_noise_has_the_size_it_says(self) -> None:
        difference = digits(STUDIES[2], 0)["train"].images - digits(STUDIES[0], 0)["train"].images
        assert difference.std() == pytest.approx(0.9, rel=0.02)
        assert difference.mean() == pytest.approx(0.0, abs=0.02)


def test_training_is_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.digits.network.MAX_EPOCHS", 1)
    split = digits(STUDIES[0], 0)["train"]
    split = dataclasses.replace(split, images=split.images[: 2 * BATCH_SIZE], labels=split.labels[: 2 * BATCH_SIZE])
    networks = [digits_network(seed) for seed in (0, 0, 1)]
    for network, seed in zip(networks, (0, 0, 1), strict=True):
        train(network, split, seed)
    same, again, other = (torch.cat([value.flatten() for value in network.parameters()]) for network in networks)
    assert torch.equal(same, again)
    assert not torch.equal(same, other)


class TestCache:
    """A second run makes nothing anew, and never trusts what is unfinished or out of date."""

    def test_the_same_study_is_made_once(self, cache: Path) -> None:
        study = ONE_INSTANCE["digits-true"]
        before = {file.path: file.path.stat().st_mtime_ns for file in recordings(study, cache)}
        trained: list[int] = []
        again = recordings(study, cache, lambda instance, _: trained.append(instance))
        assert trained == []
        assert {file.path: file.path.stat().st_mtime_ns for file in again} == before

    def test_parameters_and_code_decide_the_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        study = STUDIES[0]
        keys = {study_key(study), study_key(dataclasses.replace(study, noise=0.1))}
        monkeypatch.setattr(torch, "__version__", "0")
        assert len({*keys, study_key(study)}) == 3

    def test_an_interrupted_study_is_made_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("examples.digits.network.MAX_EPOCHS", 1)
        study = dataclasses.replace(STUDIES[0], n_instances=1)
        outdated = tmp_path / f"{study.name}-0123456789abcdef"
        outdated.mkdir()
        n_recorded = 0

        def failing_record(*arguments: object, **options: object) -> None:
            nonlocal n_recorded
            n_recorded += 1
            if n_recorded == 3:
                raise RecordingError("the disk is full")
            record(*arguments, **options)  # type: ignore[arg-type]  # passed on as they come

        monkeypatch.setattr("examples.digits.activations.record", failing_record)
        with pytest.raises(RecordingError):
            recordings(study, tmp_path)
        assert not list(tmp_path.glob("[!.]*"))
        assert all(file.path.exists() for file in recordings(study, tmp_path))
        assert n_recorded == 3 + 4


def test_components_name_layers_that_exist() -> None:
    request = AnalysisRequest.model_validate({"inputs": [{"artifact": "sha256:" + "0" * 64}], "components": COMPONENTS})
    for component in request.components.values():
        positions = [PAPER_LAYERS.index(layer) for layer in component]
        assert positions == sorted(positions)
        assert (component[0], component[-1]) == ("0.Input", "6.Softmax")
