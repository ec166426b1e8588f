"""Test that every setting in the table has type and meaning."""

import json
from typing import Annotated, Literal

import pytest
from pydantic import Field

from votecast.config import Settings
from votecast.config.describe import describe_settings
from votecast.judges.recipe import load_recipe, recipe_type
from votecast.models.registry import FAMILIES


class Inner(Settings):
    """Nested settings.

    Args:
        rate: Learning rate,
            per step.
    """

    rate: Annotated[float, Field(gt=0, le=1)] | None = 0.5


class Outer(Settings):
    """Settings with settings inside.

    Args:
        kind: Which kind.
        inner: Nested.
        maybe: Nested, or None.
    """

    kind: Literal["a", "b"]
    inner: Inner = Inner(rate=0.25)
    maybe: Inner | None = None


def test_types_defaults_limits_and_meanings_of_nested_settings():
    found = {row.name: row for row in describe_settings(Outer)}
    assert list(found) == ["kind", "inner.rate", "maybe", "maybe.rate"]
    assert found["kind"].required and found["kind"].allowed == "a, b"
    rate = found["inner.rate"]
    assert (rate.type, rate.default, rate.allowed, rate.meaning) == (
        "float | None",
        0.5,
        "> 0, <= 1",
        "Learning rate, per step.",
    )
    assert (rate.value, found["maybe.rate"].value) == (0.25, 0.5)


def test_an_instance_brings_its_values_beside_the_defaults():
    found = {row.name: row for row in describe_settings(load_recipe("baseline", {"folds.n": 3}))}
    assert (found["folds.n"].default, found["folds.n"].value) == (5, 3)
    assert found["family"].value == "baseline"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_of_every_family_has_a_meaning_and_a_type(family):
    rows = list(describe_settings(recipe_type(family)))
    assert {row.name for row in rows} >= {"seed", "folds.n", "cleaning.duplicates", "calibration.method", "final"}
    assert not [row.name for row in rows if not row.meaning or not row.type or "Annotated" in row.type]
    json.dumps([row.default for row in rows])
