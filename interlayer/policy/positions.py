"""Which line of a policy file something is on."""

import re
from dataclasses import dataclass
from typing import Any

import yaml

Place = tuple[int | str, ...]


@dataclass(frozen=True)
class Positions:
    """Lines, counted from 1, by place: `("rules", 2, "at_least")`."""

    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """Return the line of a place, or of the nearest thing around it that is known."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(text: str) -> tuple[Any, Positions]:
    """Return a YAML document and its positions.

    Raises
    ------
    ValueError
        For aliases, which can make a small file enormous, and for keys that occur twice or are no text.
    """
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
        raise ValueError("aliases (*name) are not allowed; write the values out")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise ValueError("the file is empty")
        lines: dict[Place, int] = {}
        _walk(node, (), lines)
        return loader.construct_document(node), Positions(lines)
    finally:
        loader.dispose()


def _walk(node: yaml.Node, place: Place, lines: dict[Place, int]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _walk(item, (*place, number), lines)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"line {key.start_mark.line + 1}: a key must be a plain text")
            if key.value in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: {key.value!r} is given twice")
            seen.add(key.value)
            lines[(*place, str(key.value))] = key.start_mark.line + 1
            _walk(value, (*place, str(key.value)), lines)


_TABLE = re.compile(r"^\s*\[\[\s*rules\s*\]\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_-]+)\s*=")


def toml_positions(text: str) -> Positions:
    """Return the positions of the rules of a TOML policy that has them as `[[rules]]`, and of their plain keys.

    The text has been parsed before, so it is TOML. Where a line only looks like a header, inside a text of several
    lines, the numbers of the rules after it are off by one: they locate messages, nothing else.
    """
    lines: dict[Place, int] = {}
    place: Place = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if _TABLE.match(line):
            place = ("rules", sum(len(known) == 2 and known[0] == "rules" for known in lines))
            lines[place] = number
        elif line.lstrip().startswith("["):
            place = (*place, "") if place else ("",)
        elif match := _KEY.match(line):
            lines.setdefault((*place, match[1]), number)
    return Positions(lines)
