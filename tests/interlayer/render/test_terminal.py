"""What is printed on consoles that differ in width, colour and alphabet."""

import io
import re

import pytest
from rich.console import Console

from contract.schemas import Report
from interlayer.render.terminal import print_report
from tests.interlayer.render.sample import (
    HOSTILE_NAMES,
    PAPER_LAYERS,
    sample_report,
    without_numbers,
    without_subsample,
)


def printed(report: Report, width: int = 80, *, full: bool = False) -> str:
    target = io.StringIO()
    print_report(report, Console(file=target, width=width, color_system=None), full=full)
    return target.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_fits_the_width_and_names_every_layer(width: int) -> None:
    shown = printed(sample_report(), width)
    assert max(len(line) for line in shown.splitlines()) <= width
    for layer in PAPER_LAYERS:
        assert layer in shown


def test_findings_come_before_numbers() -> None:
    report = sample_report()
    shown = " ".join(printed(report, 200).split())
    positions = [shown.index(finding.message) for finding in report.findings]
    assert positions == sorted(positions)
    assert positions[-1] < shown.index("mean separation")
    assert shown.index(report.warnings[0].message) < shown.index("mean separation")


@pytest.mark.parametrize("width", [80, 140])
def test_layer_rows_hold_mean_interval_and_gap(width: int) -> None:
    report = sample_report(states=("trained",))
    shown = printed(report, width)
    mean = {(s.layer, s.split): s.mean for s in report.separations}
    for part in report.separations:
        assert part.interval.low is not None
        assert part.interval.high is not None
        row = next(line for line in shown.splitlines() if line.startswith(f"{part.layer} "))
        half = (part.interval.high - part.interval.low) / 2
        assert f"{part.mean:.3f} ±{half:.3f}".replace("-", "−") in row
        gap = f"{mean[part.layer, 'train'] - mean[part.layer, 'validation']:+.3f}".replace("-", "−")
        assert gap.replace("+0.000", "0.000").replace("−0.000", "0.000") in row


def test_bars_grow_with_the_mean() -> None:
    report = sample_report(states=("trained",), splits=("train",))
    shown = printed(report, 100)
    lengths = []
    for part in sorted(report.separations, key=lambda part: part.mean):
        row = next(line for line in shown.splitlines() if line.startswith(f"{part.layer} "))
        lengths.append(len(re.sub(r"[^▏▎▍▌▋▊▉█]", "", row)))
    assert lengths == sorted(lengths)
    assert lengths[0] <= 1
    assert lengths[-1] >= 15


def test_significance_is_a_mark_and_not_only_a_colour() -> None:
    report = sample_report(splits=("train",), states=("trained",), n_layers=15)
    shown = printed(report, full=True)
    for row in report.tests:
        if row.family != "layer_step":
            continue
        line = next(line for line in shown.splitlines() if line.startswith(f"{row.input_layer} → {row.output_layer} "))
        adjusted = row.results[0].p_adjusted
        assert adjusted is not None
        stars = (adjusted < 0.05) + (adjusted < 0.01) + (adjusted < 0.001)
        assert line.count("*") == stars


def test_quiet_tables_are_one_line_unless_all_is_wanted() -> None:
    report = sample_report()
    short, full = printed(report), printed(report, full=True)
    assert "nothing significant in 14 tests" in short
    assert "nothing significant" not in full
    assert len(full.splitlines()) > 1.5 * len(short.splitlines())
    assert "6.Dense → 6.Softmax" in short


def test_a_missing_p_value_is_said_and_never_starred() -> None:
    report = without_subsample(sample_report(), layers=["6.Softmax"])
    line = next(line for line in printed(report, full=True).splitlines() if line.startswith("6.Dense → 6.Softmax"))
    assert "*" not in line
    assert line.count("–") == 3
    silent = without_subsample(sample_report(memorised=False, splits=("train",)), layers=PAPER_LAYERS[3:])
    assert "without a p-value (saturated)" in printed(silent, 120)


def test_wide_console_shows_both_splits_of_a_table_side_by_side() -> None:
    report = sample_report(memorised=False)
    assert "training Δ" in printed(report, 160, full=True)
    assert "training Δ" not in printed(report, 100, full=True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_console_without_unicode_gets_ascii(encoding: str) -> None:
    written = io.BytesIO()
    target = io.TextIOWrapper(written, encoding=encoding, errors="strict")
    report = sample_report(layers=("0.Eingang", "1.Größe", "2.→"), memorised=False)
    print_report(report, Console(file=target, width=90, color_system=None), full=True)
    target.flush()
    shown = written.getvalue().decode("ascii")
    assert "1.Gr\\xf6\\xdfe" in shown
    assert "+-0.0" in shown
    assert "####" in shown


def test_hostile_names_stay_text() -> None:
    shown = printed(sample_report(classes=3, layers=HOSTILE_NAMES, instances=HOSTILE_NAMES[2:4]), 200)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert "\r" not in shown
    assert "[bold]markup[/bold]" in shown
    assert "\\u001b[31mred" in shown


def test_colour_console_moves_no_cursor_for_a_name() -> None:
    target = io.StringIO()
    console = Console(file=target, width=120, force_terminal=True, color_system="truecolor")
    print_report(sample_report(layers=HOSTILE_NAMES), console)
    assert set(re.findall(r"\x1b\[[0-9;]*(.)", target.getvalue())) == {"m"}
    assert not re.search(r"\x1b\[31mred", target.getvalue())


def test_missing_numbers_are_dashes() -> None:
    shown = printed(without_numbers(sample_report(classes=2, n_layers=3)), full=True)
    assert not re.search(r"None|nan", shown)
    assert "–" in shown


@pytest.mark.parametrize("part", ["separations", "tests", "findings", "warnings"])
def test_report_without_a_part_is_printed(part: str) -> None:
    assert "Class separation" in printed(sample_report(n_layers=2).model_copy(update={part: []}))
