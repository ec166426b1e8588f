"""The arena and the judge that the tests of judges share."""

from tests.judges.conftest import arena, judge  # noqa: F401 - fixtures
