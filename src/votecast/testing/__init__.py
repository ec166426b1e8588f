"""What others need to test judges of their own."""

from votecast.testing.conformance import check_judge

__all__ = ["check_judge"]
