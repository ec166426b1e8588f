"""Tests for judges of your own: `check_judge`."""

from votecast.testing.conformance import check_judge

__all__ = ["check_judge"]
