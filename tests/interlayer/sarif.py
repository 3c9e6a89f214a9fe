"""SARIF as its standard has it."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema


@functools.cache
def _standard() -> jsonschema.Draft7Validator:
    schema = json.loads(Path(__file__).with_name("sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)


def read_sarif(text: str) -> Any:
    """Return the log, which fits the whole JSON Schema of SARIF 2.1.0."""
    log = json.loads(text)
    _standard().validate(log)
    return log
