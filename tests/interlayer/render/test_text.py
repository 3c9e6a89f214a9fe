import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlayer.render import text


@given(st.text())
def test_visible_text_has_nothing_that_hides_or_reorders(content: str) -> None:
    shown = text.visible(content)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not set(shown) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\xad")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("6.Softmax", "6.Softmax"), ("Größe 大 🙂", "Größe 大 🙂"), ("a\nb", "a\\nb"), ("\x1b[0m", "\\u001b[0m"),
        ("\U000e0041", "\\U000e0041"), ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)  # fmt: skip
def test_visible(content: str, shown: str) -> None:
    assert text.visible(content) == shown


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["conv1", "conv2"], ["conv1", "conv2"]),
        (["model.blocks.1.mlp", "model.blocks.12.mlp"], ["…1…", "…12…"]),
        (["model.blocks.1.mlp", "model.blocks.12.norm"], ["…1.mlp", "…12.norm"]),
        (["model.blocks.1.attention.output", "model.blocks.1"], ["…1.att…utput", "…1"]),
        (["one name that is long"], ["…long"]),
        (["a\n" + "b" * 12, "c"], ["a\\nbbb…bbbbb", "c"]),
    ],
)
def test_names_that_are_too_long_keep_what_tells_them_apart(names: list[str], shown: list[str]) -> None:
    assert text.told_apart(names, 12) == shown


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.integers(5, 30))
def test_any_names_are_told_apart_in_the_room_there_is(names: list[str], length: int) -> None:
    found = text.told_apart(names, length)
    assert len(found) == len(names)
    assert all(0 < len(name) <= length for name in found)


@pytest.mark.parametrize(
    ("value", "shown", "with_sign"),
    [(0.12345, "0.123", "+0.123"), (-0.5, "−0.500", "−0.500"), (-0.0004, "0.000", "0.000"), (None, "–", "–")],
)
def test_numbers(value: float | None, shown: str, with_sign: str) -> None:
    assert text.number(value) == shown
    assert text.signed(value) == with_sign


@pytest.mark.parametrize(
    ("p", "shown", "stars"),
    [
        (0.0, "<0.001", "***"), (0.00099, "<0.001", "***"), (0.001, "0.001", "**"), (0.0099, "0.010", "**"),
        (0.01, "0.010", "*"), (0.049, "0.049", "*"), (0.05, "0.050", ""), (1.0, "1.000", ""), (None, "–", ""),
    ],
)  # fmt: skip
def test_p_values_are_never_rounded_to_zero(p: float | None, shown: str, stars: str) -> None:
    assert text.p_value(p) == shown
    assert text.significance(p) == stars


@given(st.text(max_size=60), st.integers(1, 20))
def test_shortened_is_short(content: str, length: int) -> None:
    shown = text.shortened(content, length)
    assert len(shown) <= length
    assert ("…" in shown) or shown == text.visible(content)


def test_interval_needs_both_ends() -> None:
    assert text.interval(-0.1, 0.2) == "[−0.100, 0.200]"
    assert text.interval(None, 0.2) == text.MISSING
