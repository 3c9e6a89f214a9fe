"""What a run leaves behind says what the report says, and is well formed."""

import csv
import dataclasses
import io
import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from scipy.stats import gaussian_kde
from typer.testing import CliRunner

from contract.schemas import Report
from interlayer.reproduce import figures, table_text
from interlayer.reproduce.command import reproduce
from interlayer.reproduce.experiments import EXPERIMENTS, LAYERS, Architecture
from interlayer.reproduce.tables import paper_tables, report_tables

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The command, with a network that trains in no time."""
    quick = dataclasses.replace(EXPERIMENTS["digits-noisy"], architecture=Architecture((2, 3), 8, padded=True))
    monkeypatch.setattr("interlayer.reproduce.experiments.EXPERIMENTS", {**EXPERIMENTS, quick.name: quick})
    app = typer.Typer()
    app.command()(reproduce)
    return app


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one run of the command."""
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patched:
        quick = dataclasses.replace(EXPERIMENTS["digits-noisy"], architecture=Architecture((2, 3), 8, padded=True))
        patched.setattr("interlayer.reproduce.experiments.EXPERIMENTS", {**EXPERIMENTS, quick.name: quick})
        app = typer.Typer()
        app.command()(reproduce)
        options = "--experiment digits-noisy --metric both --instances 2 --epochs 1 --per-class 12 --json --out"
        result = CliRunner().invoke(app, [*options.split(), str(out)], catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((out / "digits-noisy" / "comparison.json").read_text())
    return out / "digits-noisy"


@pytest.fixture(scope="module")
def report(written: Path) -> Report:
    return Report.model_validate_json((written / "euclidean" / "report.json").read_bytes())


class TestCommand:
    def test_every_file_is_there(self, written: Path) -> None:
        for metric, first in (("euclidean", 1), ("cosine", 10)):
            tables = {path.name for path in (written / metric / "tables").iterdir()}
            assert tables == {f"S-{number}.csv" for number in range(first, first + 9)}
            assert len(list((written / metric / "figures").glob("*.svg"))) == 2 * 2 * 2
            assert (written / metric / "report.html").read_text().startswith("<!doctype html>")

    def test_every_claim_is_answered_for_both_distances(self, written: Path) -> None:
        verdicts = json.loads((written / "comparison.json").read_text())
        assert {verdict["metric"] for verdict in verdicts} == {"euclidean", "cosine"}
        assert {verdict["claim"][:2] for verdict in verdicts} == {f"Q{number}" for number in range(1, 10)}
        assert {verdict["answer"] for verdict in verdicts} <= {"holds", "does not hold", "not applicable"}
        for verdict in verdicts:
            if verdict["answer"] != "not applicable":
                low, high = (
                    edge if edge is not None else sign * math.inf
                    for edge, sign in zip(verdict["band"], (-1, 1), strict=True)
                )
                within = all(low <= value <= high for value in verdict["ours"])
                assert within == (verdict["answer"] == "holds")

    def test_people_get_a_table(self, application: typer.Typer, tmp_path: Path) -> None:
        options = "--experiment digits-noisy --instances 1 --epochs 1 --per-class 8 --out"
        result = CliRunner().invoke(application, [*options.split(), str(tmp_path)], env={"COLUMNS": "140"})
        assert result.exit_code == 0, result.output
        assert "digits-noisy, euclidean distance" in result.stdout
        assert re.search(r"Q5b .*(holds|does not hold)", result.stdout)
        assert "Q9b" not in result.stdout  # needs both distances

    def test_data_that_are_missing_end_in_one_sentence(self, application: typer.Typer, tmp_path: Path) -> None:
        options = ["--experiment", "mnist", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
        result = CliRunner().invoke(application, options)
        assert "train-images-idx3-ubyte" in str(result.exception)
        result = CliRunner().invoke(application, ["--experiment", "cifar100", "--out", str(tmp_path)])
        assert result.exit_code == 2

    def test_importing_the_command_loads_nothing_heavy(self) -> None:
        code = (
            "import sys, interlayer.reproduce.command; "
            "print([name for name in ('numpy', 'torch', 'numba', 'scipy', 'sklearn') if name in sys.modules])"
        )
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


class TestTables:
    def test_csv_holds_the_exact_differences(self, written: Path, report: Report) -> None:
        rows = list(csv.reader(io.StringIO((written / "euclidean" / "tables" / "S-3.csv").read_text())))
        assert rows[0] == ["input space", "output space", "difference 0", "difference 1", "p 0", "p 1"]
        means = {(p.instance, p.state, p.split, p.layer): p.mean for p in report.separations}
        assert [row[:2] for row in rows[1:]] == [list(pair) for pair in itertools.pairwise(LAYERS)]
        for before, after, *values in rows[1:]:
            for instance in (0, 1):
                step = [means[str(instance), "trained", "train", layer] for layer in (before, after)]
                assert float(values[instance]) == pytest.approx(step[1] - step[0])
                assert 0 < float(values[2 + instance]) <= 1

    def test_markdown_reproduces_what_the_paper_printed(self) -> None:
        text = table_text.to_markdown(paper_tables("cifar10_true", "euclidean"), "CIFAR-10")
        section = text.split("## ")[1]
        assert section.startswith("S-1. ")
        row = next(line for line in section.splitlines() if line.startswith("| 5.ReLU | 6.Dense"))
        assert row == "| 5.ReLU | 6.Dense | −0.202 | −0.226 | −0.182 | −0.189 | −0.198 |" + " **<0.001** |" * 5
        assert text.count("\n## ") == 9

    def test_latex_is_well_formed(self, report: Report) -> None:
        text = table_text.to_latex(report_tables(report), "digits_100% & more")
        assert r"digits\_100\% \& more" in text
        opened: list[str] = []
        for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
            if kind == "begin":
                opened.append(name)
            else:
                assert opened.pop() == name
        assert opened == []
        without = re.sub(r"\\[{}]", "", text)
        assert without.count("{") == without.count("}")
        assert re.sub(r"\\\$", "", text).count("$") % 2 == 0
        assert text.isascii()  # every other character would need a package
        bodies = re.findall(r"\\begin\{tabular\}\{ll(r+)@\{\\qquad\}(r+)\}(.*?)\\end\{tabular\}", text, re.DOTALL)
        assert len(bodies) == 9
        for left, right, body in bodies:
            lines = [line for line in body.splitlines() if line.endswith(r"\\")]
            for line in lines[1:]:
                assert len(re.split(r"(?<!\\)&", line)) == 2 + len(left) + len(right)


class TestFigures:
    def test_training_lies_above_and_validation_below_the_diagonal(self, report: Report) -> None:
        tree = ElementTree.fromstring(figures.pair_matrices(report, "0", "trained"))
        matrices = [group for group in tree.iter(f"{SVG}g") if group.find(f"{SVG}rect") is not None]
        assert len(matrices) == len(LAYERS)
        first = {(p.state, p.split): p for p in report.separations if p.layer == "0.Input" and p.instance == "0"}
        cells = {}
        for cell in matrices[0].findall(f"{SVG}rect"):
            title = cell.find(f"{SVG}title")
            assert title is not None
            assert title.text is not None
            cells[title.text] = (float(cell.attrib["x"]), float(cell.attrib["y"]))
        assert len(cells) == 90
        left, top = min(x for x, _ in cells.values()), min(y for _, y in cells.values())
        for told, (x, y) in cells.items():
            assert (x - left > y - top) == ("training" in told)
        pairs = first["trained", "train"].pairs
        place = next(i for i in range(45) if (pairs.class_a[i], pairs.class_b[i]) == ("2", "7"))
        shown = next(told for told in cells if told.startswith("2 – 7, training"))
        assert float(shown.split(": ")[1].replace("−", "-")) == pytest.approx(pairs.statistic[place], abs=5e-4)
        assert cells[shown] == (left + 7 * 15, top + 2 * 15)

    def test_every_pair_of_every_layer_has_a_dot_in_the_colour_of_its_split(self, report: Report) -> None:
        tree = ElementTree.fromstring(figures.distributions(report, "1", "untrained"))
        for split in ("train", "validation"):
            groups = [group for group in tree.iter(f"{SVG}g") if group.attrib.get("class") == split]
            dots = [path.attrib["d"] for group in groups for path in group.findall(f"{SVG}path[@class='pair']")]
            assert [drawn.count("M") for drawn in dots] == [1, *[45] * len(LAYERS)]  # the first is in the key

    def test_density_is_a_gaussian_kernel_estimate(self) -> None:
        values = np.random.default_rng(0).normal(0.4, 0.1, 45)
        curve = figures.density(values.tolist())
        q75, q25 = np.quantile(values, [0.75, 0.25])
        bandwidth = 0.9 * min(values.std(ddof=1), (q75 - q25) / 1.34) * 45**-0.2
        oracle = gaussian_kde(values, bw_method=bandwidth / values.std(ddof=1))
        np.testing.assert_allclose([y for _, y in curve], oracle([x for x, _ in curve]), rtol=1e-9)

    def test_values_without_spread_have_no_density(self) -> None:
        assert figures.density([0.9] * 45) == []
        assert figures.density([0.9]) == []
