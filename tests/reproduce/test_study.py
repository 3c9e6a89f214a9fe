"""The whole way from images to reports, with networks that take seconds."""

import dataclasses
import itertools
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from contract.schemas import Metric, Report
from interlayer.errors import UsageError
from interlayer.local import LocalInput, analyze
from interlayer.reproduce import images, network, study
from interlayer.reproduce.experiments import BLOCKS, EXPERIMENTS, LAYERS, Architecture, Experiment, Training
from interlayer.reproduce.study import Study, run
from interlayer.reproduce.tables import LAYOUTS, report_tables
from tests.reproduce.files import write_mnist

TINY = Architecture(filters=(2, 3), hidden=8, padded=True)
ONE_EPOCH = Training("adam", 1e-3, 64, max_epochs=1, trained_loss=0.0, n_threads=1)


def tiny(name: str, **changes: object) -> Experiment:
    experiment = dataclasses.replace(EXPERIMENTS[name], architecture=TINY, training=ONE_EPOCH, per_class=12)
    return dataclasses.replace(experiment, **changes)  # type: ignore[arg-type]  # named fields of the dataclass


def quiet(_doing: str, _share: float) -> None:
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduction")


@pytest.fixture(scope="module")
def reports(folder: Path) -> dict[Metric, Report]:
    return run(Study(tiny("digits-random"), folder, n_instances=2), ["euclidean", "cosine"], quiet)


class TestReports:
    def test_they_hold_every_state_split_instance_and_layer(self, reports: dict[Metric, Report]) -> None:
        for metric, report in reports.items():
            assert report.provenance.metric == metric
            assert report.layers == list(LAYERS)
            seen = [(part.instance, part.state, part.split, part.layer) for part in report.separations]
            states, splits = ("untrained", "trained"), ("train", "validation")
            assert sorted(seen) == sorted(itertools.product(("0", "1"), states, splits, LAYERS))
            assert {size for part in report.separations for size in part.n_per_class} == {12}

    def test_tables_are_filled_with_the_tests_of_their_layout(self, reports: dict[Metric, Report]) -> None:
        for metric, report in reports.items():
            tables = report_tables(report)
            means = {(p.instance, p.state, p.split, p.layer): p.mean for p in report.separations}
            for number, layout in LAYOUTS.items():
                table = tables[number]
                n_rows = {"layer_step": 14, "adaptation": 14, "generalization": 14}.get(layout.family)
                assert len(table.rows) == (n_rows or len(BLOCKS[layout.component or ""]) - 1)
                assert {
                    row.alternative for row in report.tests if row.family == layout.family and row.state == layout.state
                } == {layout.alternative}
                assert table.metric == metric
            for row in tables[2].rows:
                expected = [
                    means[i, "trained", "train", row.output_layer] - means[i, "untrained", "train", row.output_layer]
                    for i in ("0", "1")
                ]
                assert row.differences == pytest.approx(expected)
            for row in tables[9].rows:
                assert row.input_layer is not None
                gaps = {
                    (i, layer): means[i, "trained", "train", layer] - means[i, "trained", "validation", layer]
                    for i in ("0", "1")
                    for layer in LAYERS
                }
                expected = [gaps[i, row.output_layer] - gaps[i, row.input_layer] for i in ("0", "1")]
                assert row.differences == pytest.approx(expected)
            assert tables.input_levels == pytest.approx(
                [means[i, "trained", "validation", "0.Input"] for i in ("0", "1")]
            )

    def test_a_second_run_trains_and_analyses_nothing(
        self, folder: Path, reports: dict[Metric, Report], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(network, "train", None)
        monkeypatch.setattr(study, "analyze", None)
        again = run(Study(tiny("digits-random"), folder, n_instances=2), ["euclidean", "cosine"], quiet)
        assert {metric: report.to_bytes() for metric, report in again.items()} == {
            metric: report.to_bytes() for metric, report in reports.items()
        }
        assert not list((folder / "activations").iterdir())

    def test_another_folder_gives_the_same_bytes(self, tmp_path: Path, reports: dict[Metric, Report]) -> None:
        again = run(Study(tiny("digits-random"), tmp_path, n_instances=1), ["euclidean"], quiet)["euclidean"]
        first = {(p.instance, p.state, p.split, p.layer): p for p in reports["euclidean"].separations}
        assert all(first[p.instance, p.state, p.split, p.layer] == p for p in again.separations)

    @pytest.mark.parametrize("change", [{"noise": 0.1}, {"per_class": 11}, {"random_labels": False}])
    def test_what_decides_a_report_decides_its_key(self, folder: Path, change: dict[str, object]) -> None:
        def key(experiment: Experiment, instance: int = 0, seed: int = 0) -> str:
            asked = Study(experiment, folder, seed=seed)
            true = images.load(experiment, None, seed)
            return study._key(asked, images.labelled(true, experiment, instance, seed), instance)

        same = key(tiny("digits-random"))
        assert key(tiny("digits-random")) == same
        assert (
            len(
                {
                    same,
                    key(tiny("digits-random", **change)),
                    key(tiny("digits-random"), 1),
                    key(tiny("digits-random"), 0, 1),
                }
            )
            == 4
        )


def test_reports_of_instances_make_the_report_of_one_analysis_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"

    def keep(folder: Path) -> None:
        shutil.copytree(folder, kept / folder.name.split("-")[0])

    monkeypatch.setattr(study, "shutil", SimpleNamespace(rmtree=keep, disk_usage=shutil.disk_usage))
    found = run(Study(tiny("digits-true"), tmp_path / "out", n_instances=2), ["euclidean"], quiet)["euclidean"]
    inputs = [
        LocalInput(kept / instance / f"{state}-{split}.safetensors", state, split, instance)
        for instance, state, split in itertools.product(("0", "1"), ("untrained", "trained"), ("train", "validation"))
    ]
    whole = analyze(inputs, {"components": dict(BLOCKS)})
    assert found.provenance == whole.provenance
    assert found.separations == whole.separations
    assert found.findings == whole.findings
    assert {warning.code for warning in found.warnings} == {warning.code for warning in whole.warnings}

    def in_order(report: Report) -> list[str]:
        return sorted(row.model_dump_json() for row in report.tests)

    assert in_order(found) == in_order(whole)


def test_mnist_from_files_to_tables(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    experiment = tiny("mnist", architecture=dataclasses.replace(TINY, padded=False, dropout=(0.25, 0.25, 0.5)))
    report = run(Study(experiment, tmp_path / "out", tmp_path, n_instances=1), ["euclidean"], quiet)["euclidean"]
    assert report.layers == list(LAYERS)  # dropout is no layer: it does nothing in evaluation
    dimensions = {part.layer: part.dimension for part in report.separations}
    # 28 same, 26 valid, 13 pooled, 13 same, 11 valid, 5 pooled.
    sizes = [
        784,
        *[2 * 28**2] * 2,
        *[2 * 26**2] * 2,
        2 * 13**2,
        *[3 * 13**2] * 2,
        *[3 * 11**2] * 2,
        3 * 5**2,
        8,
        8,
        10,
        10,
    ]
    assert [dimensions[layer] for layer in LAYERS] == sizes


def test_an_interrupted_recording_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Study(tiny("digits-true"), tmp_path, n_instances=1)
    with monkeypatch.context() as patched:
        patched.setattr(network, "train", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(asked, ["euclidean"], quiet)
    assert not list((tmp_path / "activations").glob("[!.]*"))
    assert run(asked, ["euclidean"], quiet)["euclidean"].layers == list(LAYERS)


def test_an_interrupted_analysis_keeps_the_trained_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Study(tiny("digits-true"), tmp_path, n_instances=1)
    with monkeypatch.context() as patched:
        patched.setattr(study, "analyze", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(asked, ["euclidean"], quiet)
    monkeypatch.setattr(network, "train", None)
    assert run(asked, ["euclidean"], quiet)["euclidean"].layers == list(LAYERS)


def test_a_disk_that_is_too_small_is_said_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr(study, "shutil", SimpleNamespace(rmtree=shutil.rmtree, disk_usage=lambda _: full))
    with pytest.raises(UsageError, match=r"up to \d+\.\d GB.*--per-class"):
        run(Study(tiny("digits-true"), tmp_path, n_instances=1), ["euclidean"], quiet)


class TestMissing:
    """What is missing is said in a sentence, before any work."""

    @pytest.mark.parametrize(
        ("module", "said"), [("torch", "PyTorch.*models"), ("sklearn.datasets", "scikit-learn.*dev")]
    )
    def test_libraries(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, said: str) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(UsageError, match=said):
            run(Study(tiny("digits-true"), tmp_path), ["euclidean"], quiet)

    def test_the_device(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(UsageError, match="--device cuda needs a GPU"):
            run(Study(tiny("digits-true"), tmp_path, device="cuda"), ["euclidean"], quiet)


class TestNetwork:
    def test_the_full_network_has_the_dimensions_of_the_keras_example(self) -> None:
        """3072/32768/…: the sizes of `cifar10_cnn` with its two unpadded convolutions, as in its model summary."""
        built = network.untrained_network(Architecture(), (3, 32, 32), 10, seed=0)
        assert sum(parameter.numel() for parameter in built.parameters()) == 1_250_858
        biases = [value for name, value in built.named_parameters() if name.endswith("bias")]
        assert len(biases) == 6
        assert not any(bias.any() for bias in biases)

    def test_weights_are_glorot_uniform(self) -> None:
        built = network.untrained_network(Architecture(), (3, 32, 32), 10, seed=0)
        dense = next(module for module in built if isinstance(module, torch.nn.Linear))
        bound = (6 / (2304 + 512)) ** 0.5
        weights = dense.weight.detach().numpy()
        assert np.abs(weights).max() == pytest.approx(bound, rel=1e-3)
        assert weights.std() == pytest.approx(bound / 3**0.5, rel=0.01)

    def test_a_seed_decides_the_network_and_its_training(self) -> None:
        true = images.load(EXPERIMENTS["digits-true"], None, 0)["train"]
        part = true.rows(np.arange(128))
        weights = []
        for seed in (0, 0, 1):
            built = network.untrained_network(dataclasses.replace(TINY, dropout=(0.2, 0.2, 0.2)), (1, 8, 8), 10, seed)
            network.train(built, part, ONE_EPOCH, seed, lambda _epoch, _loss: None)
            weights.append(torch.cat([value.flatten() for value in built.parameters()]))
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])

    def test_training_ends_when_the_loss_is_small(self) -> None:
        part = images.load(EXPERIMENTS["digits-true"], None, 0)["train"].rows(np.arange(64))
        losses: list[float] = []
        training = Training("rmsprop", 1e-3, 16, max_epochs=60, trained_loss=0.5, learning_rate_decay=1e-6, n_threads=1)
        built = network.untrained_network(Architecture((8, 8), 32, padded=True), (1, 8, 8), 10, 0)
        n_epochs = network.train(built, part, training, 0, lambda _epoch, loss: losses.append(loss))
        assert len(losses) == n_epochs < 60
        assert losses[-1] < 0.5 <= min(losses[:-1])
