"""Models that a job names, from the reference to the report."""

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from contract.schemas import AnalysisRequest, ProblemError
from tests.worker import files
from tests.worker.models import networks
from tests.worker.models.bench import Bench, counts
from worker.analysis import analyze
from worker.measuring import Resources

HERE = "tests.worker.models.networks"


class TestThreeWays:
    """Activations uploaded, an ONNX file, and a registered network give the same integers."""

    @pytest.mark.parametrize("dense_as_matmul", [False, True])
    def test_of_a_dense_network(self, bench: Bench, dense_as_matmul: bool) -> None:
        network = networks.seeded(networks.mlp)
        data_path = networks.data_file(bench.folder / "data.npz")
        stored = np.load(data_path)
        values = torch.from_numpy(stored["inputs"])
        layers = {"labels": stored["labels"], "0.Input": stored["inputs"]}
        with torch.no_grad():
            for name, module in zip(["1.Dense", "1.ReLU", "2.Dense", "2.Softmax"], network.children(), strict=True):
                values = module(values)
                layers[name] = values.numpy()
        bench.register("models.mlp", factory=f"{HERE}:mlp", **bench.weights("mlp", network))
        data = bench.file(data_path)
        uploaded = bench.file(files.write_npz(bench.folder / "activations.npz", layers))
        model = bench.file(networks.mlp_onnx(bench.folder / "m.onnx", network, dense_as_matmul=dense_as_matmul))
        reports = [
            bench.report(item, sampling={"per_class": 20})
            for item in (uploaded, {"model": model, "data": data}, {"model": {"name": "mlp"}, "data": data})
        ]
        assert reports[0].layers == reports[1].layers == reports[2].layers == list(layers)[1:]
        assert counts(reports[0]) == counts(reports[1]) == counts(reports[2])
        (source,) = [item.source for item in reports[1].provenance.inputs]
        assert source is not None
        assert (source.model, source.data, source.pooling) == (model["artifact"], data["artifact"], "none")

    def test_the_same_request_gives_the_same_bytes(self, bench: Bench) -> None:
        network = networks.seeded(networks.mlp)
        item = {
            "model": bench.file(networks.mlp_onnx(bench.folder / "m.onnx", network)),
            "data": bench.file(networks.data_file(bench.folder / "data.npz")),
        }
        options: Any = {"sampling": {"per_class": 20, "repeats": 2}}
        one = bench.report(item, **options)
        two = bench.report(item, resources=Resources(n_threads=2, memory_bytes=2**24), **options)
        assert one.to_bytes() == two.to_bytes()
        assert one.separations[0].draws is not None


class TestRegistered:
    def test_untrained_twins_come_from_the_seed(self, bench: Bench) -> None:
        bench.register("models.m", factory=f"{HERE}:mlp", **bench.weights("m", networks.seeded(networks.mlp)))
        item = {"model": {"name": "m"}, "data": bench.file(networks.data_file(bench.folder / "data.npz"))}
        first, again, other = (
            bench.report({**item, "state": "untrained"}, {**item, "split": "train"}, seed=seed, device="cpu")
            for seed in (1, 1, 2)
        )
        assert first.to_bytes() == again.to_bytes()
        untrained = [
            [s.pairs.statistic for s in report.separations if s.state == "untrained"] for report in (first, other)
        ]
        trained = [[s.pairs.statistic for s in report.separations if s.state == "trained"] for report in (first, other)]
        assert untrained[0][1:] != untrained[1][1:]
        assert untrained[0][0] == trained[0][0], "both states see the same rows"
        assert untrained[0][1:] != trained[0][1:]

    def test_images_preprocessing_and_splits(self, bench: Bench) -> None:
        bench.register("models.cnn", factory=f"{HERE}:cnn", **bench.weights("cnn", networks.seeded(networks.cnn)))
        bench.register("models.cnn.input", scale=0.0625, mean=[0.5], std=[0.25], dtype="float32")
        bench.register("data.digits", sklearn="digits")
        item = {"model": {"name": "cnn"}, "data": {"name": "digits"}}
        report = bench.report(item, {**item, "split": "validation"}, sampling={"per_class": 12})
        assert report.layers == ["0.Input", "1.Conv", "1.ReLU", "1.MaxPool", "2.Dense"]
        assert {tuple(found.n_per_class) for found in report.separations} == {(12,) * 10}
        inputs = [found.pairs.statistic for found in report.separations if found.layer == "0.Input"]
        assert inputs[0] != inputs[1], "the splits are different images"

    def test_a_module_used_twice_and_tuples(self, bench: Bench) -> None:
        bench.register("models.t", factory=f"{HERE}:twice")
        data = bench.file(networks.data_file(bench.folder / "data.npz"))
        item = {"model": {"name": "t"}, "data": data, "state": "untrained"}
        assert bench.report(item).layers == ["0.Input", "1.Dense", "1.Tanh", "2.Dense", "2.Tanh"]
        assert bench.report(item, layers={"include": ["dens*", "2.Tanh"]}).layers == ["2.Tanh", "dense", "dense:2"]

    def test_a_transformer_is_pooled_over_the_tokens_that_are_there(self, bench: Bench) -> None:
        from transformers import BertConfig, BertModel

        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
        )
        model = BertModel(config)
        model.eval()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        folder = bench.folder / "bert"
        model.save_pretrained(folder)
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        bench.register("models.bert", transformers="bert", sha256=digest, pooling="mean")
        rng = np.random.default_rng(0)
        labels = np.repeat([0, 1], 10)
        tokens = rng.integers(1, 25, (20, 7)) + 24 * labels[:, None]
        mask = (np.arange(7) < rng.integers(2, 8, 20)[:, None]).astype(np.int64)
        path = files.write_npz(bench.folder / "t.npz", {"inputs": tokens, "attention_mask": mask, "labels": labels})
        item = {"model": {"name": "bert"}, "data": bench.file(path)}
        report = bench.report(item)
        assert report.layers == ["0.Embedding", "1.Block", "2.Block"]
        with torch.no_grad():
            states = model(
                input_ids=torch.from_numpy(tokens), attention_mask=torch.from_numpy(mask), output_hidden_states=True
            ).hidden_states
        weights = torch.from_numpy(mask)[:, :, None].float()
        pooled = {
            name: ((state * weights).sum(1) / weights.sum(1)).numpy()
            for name, state in zip(report.layers, states, strict=True)
        }
        expected = bench.report(bench.file(files.write_npz(bench.folder / "a.npz", {"labels": labels, **pooled})))
        assert counts(report) == counts(expected)
        first = bench.report({**item, "model": {"name": "bert", "pooling": "cls"}})
        assert {found.dimension for found in first.separations} == {16}
        assert first.provenance.inputs[0].source is not None
        assert first.provenance.inputs[0].source.pooling == "cls"
        whole = bench.report({**item, "model": {"name": "bert", "pooling": "none"}})
        assert {found.dimension for found in whole.separations} == {7 * 16}

    @pytest.mark.parametrize(
        ("factory", "state", "code", "said"),
        [
            ("noisy", "untrained", "nondeterministic_model", "dropout"),
            ("infinite", "untrained", "non_finite", "NaN"),
            ("downloading", "untrained", "model_failed", "cannot be built"),
            ("no_module", "untrained", "model_failed", "int"),
            ("absent", "untrained", "model_failed", "absent"),
            ("cnn", "untrained", "model_failed", "cannot be run"),
            ("mlp", "trained", "weights_unavailable", "untrained"),
        ],
    )
    def test_what_cannot_be_run(self, bench: Bench, factory: str, state: str, code: str, said: str) -> None:
        bench.register("models.m", factory=f"{HERE}:{factory}")
        data = bench.file(networks.data_file(bench.folder / "data.npz"))
        problem = bench.refused({"model": {"name": "m"}, "data": data, "state": state})
        assert (problem.code, said in problem.detail) == (code, True), problem

    def test_weights_that_have_changed(self, bench: Bench) -> None:
        values = bench.weights("m", networks.seeded(networks.mlp))
        bench.register("models.m", factory=f"{HERE}:mlp", **values)
        data = bench.file(networks.data_file(bench.folder / "data.npz"))
        save_file(networks.seeded(networks.mlp, 1).state_dict(), bench.folder / "m.safetensors")
        problem = bench.refused({"model": {"name": "m"}, "data": data})
        assert (problem.code, values["sha256"] in problem.detail) == ("weights_mismatch", True)
        (bench.folder / "m.safetensors").unlink()
        assert bench.refused({"model": {"name": "m"}, "data": data}).code == "weights_unavailable"

    def test_weights_of_another_network(self, bench: Bench) -> None:
        bench.register("models.m", factory=f"{HERE}:cnn", **bench.weights("m", networks.seeded(networks.mlp)))
        data = bench.file(networks.data_file(bench.folder / "data.npz"))
        problem = bench.refused({"model": {"name": "m"}, "data": data})
        assert (problem.code, "Missing key" in problem.detail) == ("weights_mismatch", True), problem

    def test_weights_in_a_file_of_another_kind(self, bench: Bench) -> None:
        torch.save(networks.seeded(networks.mlp).state_dict(), bench.folder / "m.pt")
        sha256 = hashlib.sha256((bench.folder / "m.pt").read_bytes()).hexdigest()
        bench.register("models.m", factory=f"{HERE}:mlp", weights="m.pt", sha256=sha256)
        problem = bench.refused(
            {"model": {"name": "m"}, "data": bench.file(networks.data_file(bench.folder / "d.npz"))}
        )
        assert problem.code == "weights_mismatch"
        assert "m.pt is no .safetensors file" in problem.detail
        assert "safetensors.torch.save_file" in problem.detail

    def test_a_module_beside_the_files_of_the_service(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """As where somebody tries the service in the folder of a project: the code is read, the files are not."""
        (bench.folder / "my_networks.py").write_text(
            "import os, pathlib\nfrom my_package import deep\n"
            "def shallow():\n"
            "    folder = pathlib.Path(__file__).parent\n"
            "    for path in (folder / 'hidden', folder / 'notes'):\n"
            "        try:\n"
            "            raise AssertionError(os.listdir(path) if path.is_dir() else path.read_text())\n"
            "        except PermissionError:\n"
            "            pass\n"
            "    return deep()\n"
        )
        (bench.folder / "notes").write_text("nobody's business")
        (bench.folder / "my_package").mkdir()
        (bench.folder / "my_package" / "__init__.py").write_text(
            "import torch\ndef deep():\n    return torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.ReLU())\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(bench.folder))
        bench.register("models.m", factory="my_networks:shallow")
        data = bench.file(networks.data_file(bench.folder / "data.npz"))
        report = bench.report({"model": {"name": "m"}, "data": data, "state": "untrained"})
        assert report.layers == ["0.Input", "1.Dense", "1.ReLU"]

    def test_a_module_that_is_not_there(self, bench: Bench) -> None:
        bench.register("models.m", factory="my_nowhere.networks:small")
        data = bench.file(networks.data_file(bench.folder / "data.npz"))
        problem = bench.refused({"model": {"name": "m"}, "data": data, "state": "untrained"})
        assert (problem.code, "PYTHONPATH" in problem.detail) == ("library_missing", True), problem

    def test_a_bad_number_is_found_in_its_row_of_the_data(self, bench: Bench) -> None:
        inputs, labels = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32), np.arange(60) % 2
        labels[:30] = 0  # so that rows are drawn, and their numbers are others
        inputs[41, 3] = np.nan
        np.savez(bench.folder / "d.npz", inputs=inputs, labels=labels)
        bench.register("models.m", factory=f"{HERE}:mlp")
        item = {"model": {"name": "m"}, "data": bench.file(bench.folder / "d.npz"), "state": "untrained"}
        assert "the `inputs` of the data hold NaN or infinity in row 41" in bench.refused(item).detail
        problem = bench.refused(item, layers={"include": ["1.Dense"]})
        assert "layer '1.Dense', for row 41 of the data" in problem.detail

    def test_what_is_no_layer_is_named(self, bench: Bench) -> None:
        bench.register("models.m", factory=f"{HERE}:several")
        item = {"model": {"name": "m"}, "data": bench.file(networks.data_file(bench.folder / "d.npz"))}
        report = bench.report({**item, "state": "untrained"})
        assert report.layers == ["0.Input", "0.Several.again", "0.Several.doubled"]
        (warning,) = [each for each in report.warnings if each.code == "layers_left_out"]
        assert "'0.Several.loss' (float32 of shape [] for 4 rows)" in warning.message
        problem = bench.refused({**item, "state": "untrained"}, layers={"include": ["conv*"]})
        assert "no layer fits ['conv*']; the 4 are '0.Input', '0.Several.again'" in problem.detail

    @pytest.mark.parametrize("library", ["torchvision", "timm"])
    def test_a_library_that_is_not_there(self, bench: Bench, library: str) -> None:
        import importlib.util

        if importlib.util.find_spec(library) is not None:
            pytest.skip(f"{library} is installed")
        bench.register("models.m", **{library: "resnet18"})
        data = bench.file(networks.data_file(bench.folder / "data.npz"))
        problem = bench.refused({"model": {"name": "m"}, "data": data, "state": "untrained"})
        assert (problem.code, f"pip install {library}" in problem.detail) == ("library_missing", True)

    @pytest.mark.parametrize("name", ["M", "os:system", "__import__", "../m", "m "])
    def test_a_name_is_only_looked_up(self, bench: Bench, name: str) -> None:
        bench.register("models.m", factory=f"{HERE}:mlp")
        data = bench.file(networks.data_file(bench.folder / "data.npz"))
        assert bench.refused({"model": {"name": name}, "data": data}).code == "unknown_model"
        assert bench.refused({"model": {"name": "m"}, "data": {"name": name}}).code == "unknown_data"


def test_without_a_worker_models_are_refused(bench: Bench) -> None:
    item = {"model": {"name": "m"}, "data": {"name": "d"}}
    with pytest.raises(ProblemError) as caught:
        analyze(AnalysisRequest.model_validate({"inputs": [item]}), {})
    assert caught.value.problem.code == "model_unsupported"
