"""Folders of Hugging Face's library, built on the spot with random weights: what is recorded, and what is refused."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from contract.schemas import ProblemError
from tests.worker import files
from tests.worker.models.bench import Bench
from worker.models import recording
from worker.safetensors_file import read_safetensors

Array = files.Array
N_ROWS, N_TOKENS, WIDTH = 40, 7, 16
LAYERS = ("0.Embedding", "1.Block", "2.Block")
LABELS = np.repeat([0, 1], N_ROWS // 2)
TEXT: dict[str, Any] = {
    "bert": transformers.BertConfig(
        vocab_size=60, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    ),
    "roberta": transformers.RobertaConfig(
        vocab_size=60, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    ),
    "distilbert": transformers.DistilBertConfig(vocab_size=60, dim=WIDTH, n_layers=2, n_heads=2, hidden_dim=32),
    "gpt2": transformers.GPT2Config(
        vocab_size=60, n_embd=WIDTH, n_layer=2, n_head=2, n_positions=32, bos_token_id=2, eos_token_id=2
    ),
}
VISION = transformers.ViTConfig(
    hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=8, patch_size=4,
    num_channels=3,
)  # fmt: skip


def saved(bench: Bench, config: Any, *, register: bool = True, **values: Any) -> Any:
    """Write a model with random weights as a folder, and register it as `m`."""
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()  # type: ignore[no-untyped-call]  # the library leaves it untyped
    model.save_pretrained(bench.folder / "folder")
    if register:
        bench.register("models.m", transformers="folder", sha256=digest(bench), **values)
    return model


def digest(bench: Bench) -> str:
    return hashlib.sha256((bench.folder / "folder" / "model.safetensors").read_bytes()).hexdigest()


def texts() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    tokens = rng.integers(3, 40, (N_ROWS, N_TOKENS)) + 20 * LABELS[:, None]
    mask = (np.arange(N_TOKENS) < rng.integers(2, N_TOKENS + 1, N_ROWS)[:, None]).astype(np.int64)
    return {"inputs": tokens, "attention_mask": mask}


def images(size: int = 8, dtype: Any = np.float32) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N_ROWS, 3, size, size)) + 0.1 * LABELS[:, None, None, None]
    return {"inputs": values.astype(dtype)}


def item(bench: Bench, data: dict[str, Array], **reference: Any) -> dict[str, Any]:
    path = files.write_npz(bench.folder / "data.npz", {"labels": LABELS, **data})
    return {"model": {"name": "m", **reference}, "data": bench.file(path)}


def recorded(bench: Bench, data: dict[str, Array], pooling: str | None = None, *, trained: bool = True) -> Any:
    """Record the registered folder in this process."""
    run = {
        "model": bench.folder / "folder", "entry": bench.running.registry().model("m"), "trained": trained, "seed": 0,
        "pooling": pooling, "split": "train", "rows": None, "out": bench.folder / "out.safetensors",
        "data": files.write_npz(bench.folder / "data.npz", {"labels": LABELS, **data}),
    }  # fmt: skip
    work: dict[str, Any] = {
        "runs": [run], "layers": {}, "device": "cpu", "n_threads": None, "memory_bytes": None,
        "max_unpacked_bytes": 2**30,
    }  # fmt: skip
    recording.record(work, lambda _done, _total: None)
    return {array.name: array.load() for array in read_safetensors(bench.folder / "out.safetensors").arrays}


def refused(bench: Bench, data: dict[str, Array], **options: Any) -> Any:
    with pytest.raises(ProblemError) as caught:
        recorded(bench, data, **options)
    return caught.value.problem


def pooled(states: Any, pooling: str, mask: Array) -> dict[str, Array]:
    """In NumPy and float64, so that nothing of the worker's is used."""
    found = {}
    for name, state in zip(LAYERS, states, strict=True):
        array = state.numpy().astype(np.float64)
        if pooling == "cls":
            array = array[:, 0]
        elif pooling == "mean":
            array = np.array([row[kept].mean(0) for row, kept in zip(array, mask.astype(bool), strict=True)])
        found[name] = array
    return found


def near(found: dict[str, Array], expected: dict[str, Array]) -> bool:
    assert set(found) == {*expected, "labels"}
    return all(
        found[name].shape == array.shape and np.allclose(found[name], array, atol=1e-5)
        for name, array in expected.items()
    )


@pytest.mark.parametrize("kind", TEXT)
def test_hidden_states_of_texts(bench: Bench, kind: str) -> None:
    model, data = saved(bench, TEXT[kind], pooling="mean"), texts()
    mask, every = data["attention_mask"], np.ones_like(data["attention_mask"])
    with torch.no_grad():
        states = model(
            input_ids=torch.from_numpy(data["inputs"]), attention_mask=torch.from_numpy(mask),
            output_hidden_states=True,
        ).hidden_states  # fmt: skip
    assert near(recorded(bench, data), pooled(states, "mean", mask)), "the pooling of the registry, over the mask"
    assert not near(recorded(bench, data), pooled(states, "mean", every))
    for pooling in ("cls", "none"):
        assert near(recorded(bench, data, pooling), pooled(states, pooling, mask))


@pytest.mark.parametrize("pooling", ["cls", "mean", "none"])
def test_hidden_states_of_images(bench: Bench, pooling: str) -> None:
    model, data = saved(bench, VISION), images()
    with torch.no_grad():
        states = model(pixel_values=torch.from_numpy(data["inputs"]), output_hidden_states=True).hidden_states
    assert near(recorded(bench, data, pooling), pooled(states, pooling, np.ones((N_ROWS, 5))))


def test_the_report_says_how_tokens_were_pooled(bench: Bench) -> None:
    saved(bench, VISION, pooling="cls")
    report = bench.report(item(bench, images()), {**item(bench, images(), pooling="mean"), "instance": "1"})
    assert report.layers == list(LAYERS)
    assert {found.dimension for found in report.separations} == {WIDTH}
    sources = [given.source for given in report.provenance.inputs]
    assert [(source.pooling, source.model_sha256) for source in sources if source is not None] == [
        ("cls", digest(bench)),
        ("mean", digest(bench)),
    ]


def test_bytes_become_images_by_the_registry(bench: Bench) -> None:
    saved(bench, VISION, pooling="cls")
    pixels = {"inputs": np.random.default_rng(1).integers(0, 256, (N_ROWS, 8, 8, 3), np.uint8)}
    problem = refused(bench, pixels)
    assert problem.code == "input_mismatch"
    assert "uint8, rows of [8, 8, 3]" in problem.detail
    assert "[models.NAME.input]" in problem.detail
    bench.register("models.m.input", channels="first", scale=1 / 255, mean=[0.5] * 3, std=[0.5] * 3)
    assert recorded(bench, pixels)["2.Block"].shape == (N_ROWS, WIDTH)


@pytest.mark.parametrize(
    ("config", "data", "said"),
    [
        (VISION, texts(), ["ViTModel takes `pixel_values`", "int64, rows of [7]"]),
        (VISION, {"inputs": texts()["inputs"]}, ["`pixel_values`", "[3, height, width]", "int64, rows of [7]"]),
        (VISION, {"inputs": images()["inputs"][:, :1]}, ["rows of [3, height, width]", "rows of [1, 8, 8]"]),
        (TEXT["bert"], images(), ["BertModel takes `input_ids`", "float32, rows of [3, 8, 8]", "tokenize"]),
        (TEXT["gpt2"], {"inputs": texts()["inputs"] / 2}, ["GPT2Model takes `input_ids`", "rows of [7]"]),
        (TEXT["bert"], {"inputs": texts()["inputs"] + 50}, ["have tokens from 5", "knows 0 to 59"]),
        (TEXT["roberta"], {**texts(), "mask": texts()["inputs"]}, ["array 'mask'", "takes input_ids, attention_mask"]),
    ],
)
def test_data_for_another_kind_of_model(bench: Bench, config: Any, data: dict[str, Array], said: list[str]) -> None:
    saved(bench, config)
    problem = refused(bench, data)
    assert problem.code == "input_mismatch"
    assert all(text in problem.detail for text in said), problem.detail


def test_images_of_another_size(bench: Bench) -> None:
    """Only the library knows what its models can do with one; what they were given is said beside its reason."""
    saved(bench, VISION)
    problem = refused(bench, images(size=12))
    assert problem.code == "model_failed"
    assert "`inputs` float32, rows of [3, 12, 12]" in problem.detail
    assert "8*8" in problem.detail


class TestFolders:
    def test_untrained_twins_need_the_configuration_alone(self, bench: Bench) -> None:
        saved(bench, TEXT["bert"], register=False)
        (bench.folder / "folder" / "model.safetensors").unlink()
        bench.register("models.m", transformers="folder", pooling="mean")
        one, same = (recorded(bench, texts(), trained=False) for _ in range(2))
        assert all(np.array_equal(one[name], same[name]) for name in LAYERS)
        problem = bench.refused(item(bench, texts()))
        assert (problem.code, "ask for state 'untrained'" in problem.detail) == ("weights_unavailable", True)

    def test_a_digest_that_is_not_that_of_the_weights(self, bench: Bench) -> None:
        saved(bench, TEXT["bert"], register=False)
        bench.register("models.m", transformers="folder", sha256="0" * 64)
        problem = bench.refused(item(bench, texts()))
        assert (problem.code, digest(bench) in problem.detail) == ("weights_mismatch", True)

    def test_a_folder_that_is_not_there(self, bench: Bench) -> None:
        bench.register("models.m", transformers="nowhere")
        problem = bench.refused({**item(bench, texts()), "state": "untrained"})
        assert (problem.code, "the folder nowhere of 'm' is not there" in problem.detail) == (
            "weights_unavailable",
            True,
        )

    def test_pickled_weights(self, bench: Bench) -> None:
        """Beside the safetensors they are passed by; alone, or in their place, they are refused."""
        model, folder = saved(bench, TEXT["bert"]), bench.folder / "folder"
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        assert set(recorded(bench, texts(), "cls")) == {"labels", *LAYERS}
        (folder / "model.safetensors").unlink()
        problem = bench.refused(item(bench, texts()))
        assert (problem.code, "save_pretrained" in problem.detail) == ("weights_unavailable", True)
        (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
        problem = refused(bench, texts())
        assert (problem.code, "no .safetensors file" in problem.detail) == ("weights_mismatch", True)

    @pytest.mark.parametrize("model_type", ["bert", "homemade"])
    def test_code_of_the_folder(self, bench: Bench, model_type: str) -> None:
        """Where the library has the architecture, too: the folder means another."""
        saved(bench, TEXT["bert"])
        folder, canary = bench.folder / "folder", bench.folder / "canary"
        (folder / "modeling.py").write_text(f"open({str(canary)!r}, 'w')\nclass Model:\n    pass\n")
        config = json.loads((folder / "config.json").read_text())
        config |= {"auto_map": {"AutoModel": "modeling.Model"}, "model_type": model_type}
        (folder / "config.json").write_text(json.dumps(config))
        for trained in (True, False):
            problem = refused(bench, texts(), trained=trained)
            assert (problem.code, "modeling.Model" in problem.detail) == ("remote_code_forbidden", True)
        assert not canary.exists()

    def test_weights_of_another_architecture(self, bench: Bench) -> None:
        """The library would draw what is missing at random, and the report would be one of noise."""
        saved(bench, TEXT["bert"], register=False)
        path = bench.folder / "folder" / "model.safetensors"
        weights = load_file(path)
        save_file({name: values for name, values in weights.items() if "layer.1" not in name}, path)
        bench.register("models.m", transformers="folder", sha256=digest(bench))
        problem = refused(bench, texts())
        assert (problem.code, "encoder.layer.1" in problem.detail) == ("weights_mismatch", True)

    def test_weights_that_were_trained_with_a_head(self, bench: Bench) -> None:
        """They come without the pooler of the bare model, which no hidden state depends on."""
        torch.manual_seed(0)
        whole = transformers.BertForMaskedLM(TEXT["bert"])
        whole.save_pretrained(bench.folder / "folder")
        bench.register("models.m", transformers="folder", sha256=digest(bench), pooling="mean")
        data = texts()
        with torch.no_grad():
            states = whole.eval()(  # type: ignore[no-untyped-call]  # the library leaves it untyped
                input_ids=torch.from_numpy(data["inputs"]), attention_mask=torch.from_numpy(data["attention_mask"]),
                output_hidden_states=True,
            ).hidden_states  # fmt: skip
        assert near(recorded(bench, data), pooled(states, "mean", data["attention_mask"]))
