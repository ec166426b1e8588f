"""Import the arena and judge of the judge tests."""

from tests.judges.conftest import arena, judge  # noqa: F401 - fixtures
