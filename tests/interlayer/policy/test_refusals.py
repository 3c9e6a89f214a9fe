"""Hostile and outdated policies, and the rule that the template offers."""

from datetime import date

import pytest

from interlayer.policy import TEMPLATE, PolicyError, read_policy
from interlayer.policy.loading import refuse_expired


@pytest.mark.parametrize(
    "content",
    [b"? [1, 2]\n: 3\n", b"? {a: 1}\n: 3\n", b"[" * 5000, b"version: 1\n---\nversion: 1\n", b"a: \x00\n", b"%TAG x"],
)
def test_what_no_policy_would_hold_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(PolicyError, match=r"^p\.yaml is not a YAML policy: [^\n]+$"):
        read_policy(content, "p.yaml")


def test_an_exception_must_be_renewed() -> None:
    rule = "{id: r, check: separation, statistic: min, claim: observed, at_least: 0.1, ignore_pairs: [%s]}"
    ignored = "{pair: [a, b], reason: known, expires: 2030-01-31}"
    loaded = read_policy(f"version: 1\nrules:\n  - {rule % ignored}\n".encode(), "p.yaml")
    refuse_expired(loaded, date(2030, 1, 31))
    with pytest.raises(PolicyError, match=r"p\.yaml:3: rule 'r' ignores a / b until 2030-01-31, which is over; remove"):
        refuse_expired(loaded, date(2030, 2, 1))


def test_the_rule_that_the_template_offers_can_be_taken() -> None:
    head, mark, offered = TEMPLATE.partition("  # - id: not-worse")
    complete = head + mark.replace("# ", "") + offered.replace("  #   ", "    ")
    rules = read_policy(complete.encode(), "p.yaml").policy.rules
    assert rules[-1].check == "change"
