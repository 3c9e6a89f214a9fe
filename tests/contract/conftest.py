"""Stores of jobs and of their parts, on every database."""

from __future__ import annotations

import pytest

from contract.database import Database
from contract.jobs import Jobs
from contract.parts import Parts


@pytest.fixture
def store(any_database: Database) -> Jobs:
    return Jobs(any_database)


@pytest.fixture
def parts(any_database: Database) -> Parts:
    return Parts(any_database)
