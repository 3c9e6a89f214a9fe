"""The policy language: what is refused, where, and what is said instead."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from contract.schemas.policy import Policy
from interlayer.policy import TEMPLATE, PolicyError, explain, load_policy, read_policy
from interlayer.policy.selectors import selected_layers

YAML = """\
version: 1
rules:
  - id: learned
    check: separation
    layers: last
    at_least: 0.8
  - {id: gap, check: gap, at_most: 0.1}
"""
TOML = """\
version = 1

[[rules]]
id = "learned"
check = "separation"
layers = "last"
at_least = 0.8

[[rules]]
id = "gap"
check = "gap"
at_most = 0.1
"""


def test_both_languages_say_the_same_and_know_their_lines() -> None:
    one, other = read_policy(YAML.encode(), "p.yaml"), read_policy(TOML.encode(), "p.toml")
    assert one.policy == other.policy
    assert one.lines == {"learned": 3, "gap": 7}
    assert other.lines == {"learned": 3, "gap": 9}


def test_the_template_is_a_policy_and_fits_the_published_schema() -> None:
    loaded = read_policy(TEMPLATE.encode(), "interlayer.yaml")
    assert [rule.id for rule in loaded.policy.rules] == ["learned", "no-collapsed-pair", "generalizes", "not-memorized"]
    jsonschema.validate(yaml.safe_load(TEMPLATE), Policy.model_json_schema())
    for line in (loaded.lines[rule.id] for rule in loaded.policy.rules):
        assert "- id:" in TEMPLATE.splitlines()[line - 1]


def rule(text: str, head: str = "") -> str:
    return f"version: 1\n{head}\nrules:\n  - {text}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            rule("{id: a, check: seperation, at_least: 1}"),
            "'seperation' is no kind of rule; did you mean 'separation'?",
        ),
        (rule("{id: a, at_least: 1}"), "a rule needs `check`"),
        (rule("{id: a, check: gap, at_most: 1, layer: last}"), "there is no such field; did you mean 'layers'?"),
        (rule("{id: a, check: gap, at_most: 1}", "alhpa: 0.1"), "did you mean 'alpha'?"),
        (rule("{id: a, check: gap, at_most: much}"), "rules.0.at_most: Input should be a valid number"),
        (rule("{id: a, check: separation}"), "give either `at_least` or `at_most`"),
        (rule("{id: a, check: separation, statistic: min, at_least: 0.5}"), "only the mean has a test of its own"),
        (rule("{id: a, check: change}"), "a rule has one direction"),
        (rule("{id: a, check: change, max_drop: 0.1, max_rise: 0.1}"), "a rule has one direction"),
        (rule("{id: a, check: finding}"), "name findings"),
        (rule("{id: a, check: gap, at_most: 1}\n  - {id: a, check: gap, at_most: 1}"), "two rules are called 'a'"),
        ("version: 2\nrules: [{id: a, check: gap, at_most: 1}]\n", "version: Input should be 1"),
        ("version: 1\nrules: []\n", "rules: List should have at least 1 item"),
        ("version: 1\nversion: 1\nrules: []\n", "line 2: 'version' is given twice"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("a: [", "is not a YAML policy"),
        ("", "the file is empty"),
        ("- 1\n", "a policy begins with"),
        ("version: !!python/object/apply:os.system [id]\n", "is not a YAML policy"),
        (rule("{id: a, check: gap, at_most: .nan}"), "rules.0.at_most"),
    ],
)
def test_bad_policies_are_refused_with_line_and_remedy(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        read_policy(text.encode(), "p.yaml")
    assert said in str(refused.value)


def test_the_line_of_the_fault_is_named() -> None:
    with pytest.raises(PolicyError, match=r"^p\.yaml:6: rules\.0\.at_least"):
        read_policy(YAML.replace("0.8", "high").encode(), "p.yaml")
    with pytest.raises(PolicyError, match=r"^p\.toml:12: rules\.1\.at_most"):
        read_policy(TOML.replace("0.1", '"low"').encode(), "p.toml")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="policy init"):
        load_policy(tmp_path / "absent.yaml")
    with pytest.raises(PolicyError, match="not UTF-8"):
        read_policy(b"\xff\xfe", "p.yaml")
    with pytest.raises(PolicyError, match=r"\.toml"):
        read_policy(b"{}", "p.json")
    with pytest.raises(PolicyError, match="not TOML"):
        read_policy(b"version = ", "p.toml")
    with pytest.raises(PolicyError, match="at most"):
        read_policy(b"#" * (2**20 + 1), "p.yaml")


def test_selectors() -> None:
    layers = ["0.Input", "1.Conv", "1.ReLU", "2.*", "last"]
    assert selected_layers("*", layers) == (layers, [])
    assert selected_layers(["1.*", 0], layers) == (["0.Input", "1.Conv", "1.ReLU"], [])
    assert selected_layers("last", layers) == (["last"], []), "a name always means itself"
    assert selected_layers("2.*", layers) == (["2.*"], [])
    assert selected_layers(["first", -2, 9, "9.*"], layers) == (["0.Input", "2.*"], [9, "9.*"])
    assert selected_layers("1.conv", layers) == ([], ["1.conv"])


def test_explain_says_every_rule() -> None:
    said = explain(read_policy(TEMPLATE.encode(), "p.yaml").policy)
    assert "at least 0.8 at the last layer of the trained network" in said
    assert "significantly" in said
    assert "never a pass" in said


def test_the_schema_names_every_kind_of_rule() -> None:
    text = json.dumps(Policy.model_json_schema())
    assert all(f'"const": "{kind}"' in text for kind in ("separation", "gap", "change", "finding"))
