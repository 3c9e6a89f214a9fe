"""Charts beyond the main one: pairs, scatter, training, comparison, and all of them as PNG."""

import io
import re
import struct
from xml.etree import ElementTree

import pytest
from PIL import Image

from contract.schemas import Pairs, Report
from interlayer.comparison import compare
from interlayer.render import palette
from interlayer.render.comparison_view import comparison_body, layers_of_both, pairs_of_networks
from interlayer.render.layers_chart import layers_chart
from interlayer.render.overview import overview
from interlayer.render.png import plain_style, to_png
from interlayer.render.scatter_chart import scatter_chart
from interlayer.render.svg import pictures, to_svg
from interlayer.render.training_chart import courses, training_chart
from tests.interlayer.render.sample import HOSTILE_NAMES, sample_report

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(svg: str, class_: str) -> list[ElementTree.Element]:
    return [element for element in ElementTree.fromstring(svg).iter() if class_ in (element.get("class") or "").split()]


def test_a_report_offers_what_it_has_data_for() -> None:
    def names(report: Report) -> list[str]:
        return [picture.name for picture in pictures(report)]

    assert names(sample_report()) == ["layers", "gap", "pairs", "scatter"]
    assert names(sample_report(splits=("validation",))) == ["layers", "pairs"]
    steps = names(sample_report(steps=(1, 5), n_layers=3, classes=3))
    assert steps == ["layers", "gap", "pairs", "scatter", "training"] * 2
    assert "scatter" not in names(sample_report(n_layers=2, classes=30)), "435 dots are a blot"


def test_cells_of_the_heat_map_have_the_colour_of_their_value() -> None:
    report = sample_report(n_layers=3, classes=4)
    svg = to_svg(report, "pairs", layer=report.layers[0])
    cells = [element for element in ElementTree.fromstring(svg).iter(f"{NAMESPACE}rect") if element.get("fill")]
    assert len(cells) == 2 * 6  # training above the diagonal, validation below
    assert {cell.get("fill") for cell in cells} <= {"#440154", "#461264", "#482475", "#44347e", "#414487"}, "near 0"
    bright = to_svg(report, "pairs")
    assert any(f"#{bytes(colour).hex()}" in bright for colour in palette.colours()[17:]), (
        "the last layer of a network that memorised is apart on training data"
    )


def test_dots_of_the_scatter_stand_where_the_pair_is() -> None:
    report = sample_report(n_layers=2, classes=3, states=("trained",))
    train, validation = (
        next(part for part in report.separations if (part.split, part.layer) == (split, report.layers[-1]))
        for split in ("train", "validation")
    )
    chart = scatter_chart("trained", report.layers[-1], train, validation)
    assert chart is not None
    assert "3 of 3 class pairs are better separated on training data" in chart.description
    moved = train.model_copy(update={"pairs": train.pairs.model_copy(update={"class_a": ["x", "y", "z"]})})
    assert scatter_chart("trained", "x", moved, validation) is None, "other pairs cannot be laid over"


def test_the_course_of_training_says_where_it_starts_and_ends() -> None:
    report = sample_report(steps=(100, 5), n_layers=3, classes=3, states=("trained",))
    (course,) = courses(report)
    assert course.steps == (5, 100), "in order, however they were sent"
    chart = training_chart(course, report.layers[0])
    assert re.search(r"Training data: \S+ at step 5, \S+ at step 100\.", chart.description)
    assert courses(sample_report(steps=(5,))) == []


def test_the_base_stands_behind_the_candidate() -> None:
    base, candidate = sample_report(memorised=False, classes=4), sample_report(classes=4)
    before, after = pairs_of_networks(base, candidate)[0]
    chart = layers_chart(after, layers_of_both(base, candidate), before)
    assert chart.plot.count('class="ghost"') == 4  # two states on two splits
    body = comparison_body(base, candidate, compare(base, candidate))
    assert body.count("<tr>") == 1 + 4 * len(base.layers)
    itself = comparison_body(candidate, candidate, compare(candidate, candidate))
    assert "+0." not in itself, "nothing differs from itself"


def test_numbers_that_do_not_compare_are_not_laid_over() -> None:
    base, candidate = sample_report(n_per_class=40, classes=4), sample_report(n_per_class=89, classes=4)
    body = comparison_body(base, candidate, compare(base, candidate))
    assert "do not compare" in body
    assert "<svg" not in body


def test_what_has_nothing_in_common_is_not_laid_over() -> None:
    base = sample_report(states=("untrained",), splits=("train",), classes=3, n_layers=2)
    candidate = sample_report(states=("trained",), splits=("validation",), classes=3, n_layers=2)
    assert pairs_of_networks(base, candidate) == []
    assert "<svg" not in comparison_body(base, candidate, compare(base, candidate))


def test_layers_known_so_far_are_drawn_without_their_pairs() -> None:
    report = sample_report(n_layers=4, classes=30)
    empty = Pairs.model_validate({name: [] for name in Pairs.model_fields})
    separations = [part.model_copy(update={"pairs": empty}) for part in report.separations[:3]]
    shown = overview(report.layers[:3], separations)
    assert shown.count('class="box"') == 2 * 3  # for a screen and for a phone
    assert overview([], []) == ""


def test_png_has_the_size_and_the_colours_of_the_svg() -> None:
    svg = to_svg(sample_report(n_layers=4, classes=4, states=("trained",)))
    png = to_png(svg)
    root = ElementTree.fromstring(svg)
    assert struct.unpack(">II", png[16:24]) == (2 * int(root.get("width", "0")), 2 * int(root.get("height", "0")))
    shown = Image.open(io.BytesIO(png)).convert("RGB")
    pixels = {colour for _, colour in shown.getcolors(shown.width * shown.height) or ()}
    for colour in ((0xD3, 0x6A, 0x06), (0x2C, 0x6F, 0xD1), (0xFF, 0xFF, 0xFF)):
        assert colour in pixels


def test_the_plain_style_has_no_variable_left() -> None:
    style = plain_style()
    assert "var(" not in style
    assert "--" not in style
    assert ".train .mean" in style.replace("svg ", "")


@pytest.mark.parametrize("chart", ["layers", "gap", "pairs", "scatter", "training"])
def test_hostile_names_are_text_in_every_chart(chart: str) -> None:
    report = sample_report(classes=HOSTILE_NAMES, layers=HOSTILE_NAMES, steps=(1, 2), instances=HOSTILE_NAMES[:1])
    svg = to_svg(report, chart)  # type: ignore[arg-type]  # one of the names
    for element in ElementTree.fromstring(svg).iter():
        assert element.tag != f"{NAMESPACE}script"
    assert "\u202e" not in svg
