"""The examples on text, on embeddings and on named classes run, and print what their data must give."""

import re
from itertools import islice
from pathlib import Path

import pytest

from examples import docstrings, embedding_file, tumours


def means(printed: str, layer: str) -> list[float]:
    """The numbers of a layer's line in the first table that has it."""
    line = re.search(rf"^ *{re.escape(layer)} .*$", printed, re.MULTILINE)
    assert line is not None
    return [float(value) for value in re.findall(r"0\.\d{2,}", line.group())]


def test_docstrings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docstrings.main(tmp_path, n_docstrings=120)
    printed = capsys.readouterr().out
    assert "4 classes" in printed
    # The network was trained on half of the texts: it must tell them apart better than their words do.
    assert means(printed, "3.Dense")[0] > means(printed, "0.Input")[0] + 0.1


def test_docstrings_of_a_library_do_not_name_it() -> None:
    texts = list(islice(docstrings.docstrings("sqlalchemy"), docstrings.N_DOCSTRINGS))
    assert len(texts) == docstrings.N_DOCSTRINGS
    assert not any("sqlalchemy" in text.lower() for text in texts)


def test_bag_of_words_counts_words_wherever_they_stand() -> None:
    one, other, double = (docstrings.bag_of_words(text) for text in ("a tree, a leaf", "Leaf a tree a", "tree tree"))
    assert one.equal(other)
    assert double.expm1().sum().item() == pytest.approx(2)


def test_embedding_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    embedding_file.main(tmp_path)
    printed = capsys.readouterr().out
    pixels, eight, two = (means(printed, layer)[0] for layer in ("pixels", "8 components", "2 components"))
    assert pixels > 0.95
    assert eight > 0.9
    assert two < eight - 0.1


def test_tumours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tumours.main(tmp_path)
    printed = capsys.readouterr().out
    assert "212 samples per class" in printed
    found = re.findall(r"^All rows, (\S+): (0\.\d+) with (\{.*\})$", printed, re.MULTILINE)
    assert [layer for layer, _, _ in found] == ["0.Input", "1.ReLU", "2.Dense"]
    assert {sizes for _, _, sizes in found} == {"{'benign': 357, 'malignant': 212}"}
    assert all(0.7 < float(mean) < 1 for _, mean, _ in found)
