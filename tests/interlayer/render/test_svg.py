"""Charts are read back as XML: what is drawn must stand where the numbers say."""

import itertools
import math
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from base64 import b64decode

import pytest

from contract.schemas import Report
from interlayer.render import palette
from interlayer.render.svg import to_svg
from tests.interlayer.render.sample import HOSTILE_NAMES, layer_names, sample_report

SVG = "{http://www.w3.org/2000/svg}"


def groups(picture: ElementTree.Element, class_: str) -> list[ElementTree.Element]:
    """The groups of a class that hold data, without those of the key."""
    found = [group for group in picture.iter(f"{SVG}g") if group.get("class") == class_]
    return [group for group in found if len(list(group.iter(f"{SVG}circle"))) > 1]


def heights(group: ElementTree.Element) -> list[float]:
    return [float(circle.get("cy", "nan")) for circle in group.iter(f"{SVG}circle")]


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


def test_means_stand_at_their_values_in_forward_order(report: Report) -> None:
    picture = ElementTree.fromstring(to_svg(report))
    for split in ("train", "validation"):
        for state, group in zip(("trained", "untrained"), groups(picture, split), strict=True):
            means = [s.mean for s in report.separations if (s.state, s.split) == (state, split)]
            drawn = heights(group)
            assert len(drawn) == len(report.layers)
            lowest, highest = means.index(min(means)), means.index(max(means))
            unit = (drawn[highest] - drawn[lowest]) / (means[highest] - means[lowest])
            assert unit < 0  # up is more
            for mean, y in zip(means, drawn, strict=True):
                assert y == pytest.approx(drawn[lowest] + unit * (mean - means[lowest]), abs=0.11)
            xs = [float(circle.get("cx", "nan")) for circle in group.iter(f"{SVG}circle")]
            assert xs == sorted(xs)


def test_both_panels_share_one_scale_of_values(report: Report) -> None:
    texts = [t.text for t in ElementTree.fromstring(to_svg(report)).iter(f"{SVG}text") if t.get("class") == "tick end"]
    assert texts[: len(texts) // 2] == texts[len(texts) // 2 :]
    assert {"0.0", "1.0"} <= set(texts)


def test_every_pair_has_a_dot(report: Report) -> None:
    picture = ElementTree.fromstring(to_svg(report))
    dots = [path.get("d", "") for path in picture.iter(f"{SVG}path") if path.get("class") == "pair"]
    assert len(dots) == len(report.separations)
    assert {d.count("M") for d in dots} == {45}


def test_every_layer_is_named_and_described(report: Report) -> None:
    picture = ElementTree.fromstring(to_svg(report))
    names = [text.text for text in picture.iter(f"{SVG}text") if "name" in (text.get("class") or "").split()]
    assert names == report.layers
    described = picture.find(f"{SVG}desc")
    assert described is not None
    assert "0.943 at 6.Softmax" in (described.text or "")


def test_gap_chart_draws_training_minus_validation(report: Report) -> None:
    picture = ElementTree.fromstring(to_svg(report, "gap"))
    (trained,) = groups(picture, "gap trained")
    mean = {(s.layer, s.split): s.mean for s in report.separations if s.state == "trained"}
    gaps = [mean[layer, "train"] - mean[layer, "validation"] for layer in report.layers]
    drawn = heights(trained)
    unit = (drawn[-1] - drawn[0]) / (gaps[-1] - gaps[0])
    assert unit < 0
    for gap, y in zip(gaps, drawn, strict=True):
        assert y == pytest.approx(drawn[0] + unit * (gap - gaps[0]), abs=0.11)
    intervals = [path for path in trained.iter(f"{SVG}path") if path.get("class") == "interval"]
    assert len(intervals) == len(report.layers)


def test_picture_needs_nothing_else(report: Report) -> None:
    content = to_svg(report)
    assert content.count("http") == 1  # the namespace
    assert "prefers-color-scheme: dark" in content


def test_hostile_names_are_text() -> None:
    picture = ElementTree.fromstring(to_svg(sample_report(layers=HOSTILE_NAMES, classes=3)))
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} == {
        "svg", "title", "desc", "style", "rect", "text", "path", "circle", "g",
    }  # fmt: skip


@pytest.mark.parametrize("n_layers", [1, 2, 16, 41, 200])
def test_names_do_not_leave_the_picture(n_layers: int) -> None:
    picture = ElementTree.fromstring(to_svg(sample_report(n_layers=n_layers, classes=3)))
    width, height = float(picture.get("width", "nan")), float(picture.get("height", "nan"))
    names = [text for text in picture.iter(f"{SVG}text") if "name" in (text.get("class") or "").split()]
    every = math.ceil(n_layers / len(names))
    assert [name.text for name in names] == list(layer_names(n_layers))[::-1][::every][::-1]  # the last one always
    places = [float(name.get("x", "nan")) for name in names]
    assert all(after - before >= 17 for before, after in itertools.pairwise(places)), "no name covers the next"
    assert width <= 900
    for name in names:
        reach = 6 * len(name.text or "") * math.cos(math.radians(50))
        x = float(name.get("x", "nan")) + 14 + 44
        assert x - reach / (1 if "end" in (name.get("class") or "") else 2) >= 0
        assert x <= width
        assert float(name.get("y", "nan")) < height


def test_many_layers_are_bands_from_the_lowest_to_the_highest_pair() -> None:
    report = sample_report(n_layers=200, classes=5, states=("trained",))
    picture = ElementTree.fromstring(to_svg(report))
    assert not [path for path in picture.iter(f"{SVG}rect") if path.get("class") == "box"]
    for split in ("train", "validation"):
        (group,) = (group for group in picture.iter(f"{SVG}g") if group.get("class") == f"{split} fine")
        (band,) = (path for path in group.iter(f"{SVG}path") if path.get("class") == "whole")
        ys = [float(point.split()[1]) for point in (band.get("d") or "").strip("MZ").split("L")]
        upper, lower = ys[:200], ys[200:][::-1]
        parts = [part for part in report.separations if part.split == split]
        (zero,) = (
            float((path.get("d") or "")[1:].split("H")[0].split()[1])
            for path in picture.iter(f"{SVG}path")
            if path.get("class") == "zero"
        )
        unit = (upper[-1] - upper[0]) / (parts[-1].max - parts[0].max)
        for part, top, bottom in zip(parts, upper, lower, strict=True):
            assert top == pytest.approx(zero + unit * part.max, abs=0.11)
            assert bottom == pytest.approx(zero + unit * part.min, abs=0.11)


def test_what_cannot_be_drawn_is_refused(report: Report) -> None:
    with pytest.raises(ValueError, match="`network` is 1; the report has 1"):
        to_svg(report, network=1)
    with pytest.raises(ValueError, match="training and validation"):
        to_svg(sample_report(splits=("train",)), "gap")


def test_image_is_a_png_of_the_levels() -> None:
    rows: list[list[float | None]] = [[None, 0.0, 1.0], [-0.3, None, 0.5], [1.2, 0.049, None]]
    content = b64decode(palette.image(rows).removeprefix("data:image/png;base64,"))
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        assert struct.unpack(">I", content[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + size
    assert struct.unpack(">IIBB", chunks[b"IHDR"][:10]) == (3, 3, 8, 3)
    pixels = zlib.decompress(chunks[b"IDAT"])
    lines = [pixels[index : index + 4] for index in range(0, 12, 4)]
    assert lines == [bytes([0, 21, 0, 20]), bytes([0, 0, 21, 10]), bytes([0, 20, 1, 21])]
    assert len(chunks[b"PLTE"]) == 3 * 22
    assert chunks[b"tRNS"][21] == 0


def test_text_stands_out_on_every_colour() -> None:
    for step, rule in enumerate(palette.rules().split("}")[:-1]):
        assert rule.startswith(f".h{step}{{background:#")
        background = _channels(rule)
        on = 1.0 if rule.endswith("color:#fff") else 0.0
        light, dark = sorted((_luminance(background), on), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def _channels(rule: str) -> list[int]:
    code = rule.split("#", 1)[1][:6]
    return [int(code[index : index + 2], 16) for index in (0, 2, 4)]


def _luminance(channels: list[int]) -> float:
    def linear(channel: int) -> float:
        part = channel / 255
        return part / 12.92 if part <= 0.03928 else float(((part + 0.055) / 1.055) ** 2.4)

    red, green, blue = map(linear, channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
