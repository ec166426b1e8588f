"""Provide one arena for all audit tests."""

from __future__ import annotations

import pytest
from tests.reports.audit.arena import arena

from votecast.data.battles import Battles
from votecast.types import Probabilities


@pytest.fixture(scope="session")
def world() -> tuple[Battles, Probabilities]:
    """Return 2,500 battles with votes and their true probabilities."""
    return arena(2500, seed=5)
