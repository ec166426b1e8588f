"""The exceptions votecast raises, as one tree.

```
VotecastError
├── DataError           a file, a row or a table cannot be used
│   └── LeakError       the votes share prompts with the training data of the judge
├── ConfigError         a setting is unknown, of the wrong type or out of range
├── ArtifactError       a judge folder is damaged, foreign, newer than this version, or already exists
├── JudgeError          a judge cannot be fitted or cannot predict
├── ServiceError        a request to or from a service failed
└── MissingExtraError   an optional package is needed
```

Every message says what was given, what is allowed and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_SHOWN_REASONS = 3


class VotecastError(Exception):
    """Base of every error that votecast raises on purpose."""


class DataError(VotecastError):
    """A file, a row or a table cannot be used; the message names the place."""


class LeakError(DataError):
    """The votes share prompts with the training data of the judge that they test."""


class ConfigError(VotecastError):
    """A setting is unknown, has the wrong type or lies outside its range."""


class ArtifactError(VotecastError):
    """A judge folder or an output cannot be read or written."""


class JudgeError(VotecastError):
    """A judge cannot be fitted on these votes or cannot predict these battles."""


class UnscoredRowsError(JudgeError):
    """Some of the battles to predict cannot be scored.

    Args:
        reasons: Positions of these battles among those to predict, and what is wrong with each.
        rows: Number of battles to predict.

    Example:
        >>> str(UnscoredRowsError({1: "its reward is nan"}, 3))
        '1 of 3 battles cannot be scored: number 2: its reward is nan'
    """

    def __init__(self, reasons: Mapping[int, str], rows: int) -> None:
        self.reasons, self.rows = dict(sorted(reasons.items())), rows
        first = [f"number {row + 1}: {reason}" for row, reason in list(self.reasons.items())[:_SHOWN_REASONS]]
        more = f"; and {len(self.reasons) - _SHOWN_REASONS} more" if len(self.reasons) > _SHOWN_REASONS else ""
        super().__init__(f"{len(self.reasons)} of {rows} battles cannot be scored: {'; '.join(first)}{more}")

    def within(self, start: int, rows: int) -> UnscoredRowsError:
        """Return the same error for these battles as rows from `start` on, of so many."""
        return UnscoredRowsError({start + row: reason for row, reason in self.reasons.items()}, rows)


class ServiceError(VotecastError):
    """A request to or from a service failed.

    Args:
        message: What happened.
        status: HTTP status of the response; None if there was none.
        path: The route of the request.
        errors: The places in the request that were invalid, each with `path` and `message`.
    """

    def __init__(
        self, message: str, *, status: int | None = None, path: str = "", errors: Sequence[Mapping[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.path = path
        self.errors = tuple(errors)


class MissingExtraError(VotecastError):
    """An optional package is not installed; the message holds the command that installs it."""
