"""What a family has to bring: a model that learns from prepared battles and forecasts them uncalibrated.

Besides, a family may have, and this module looks up:

- `release()`: the fitted member gives its accelerator back, and still predicts
- `averaged(members)`, a classmethod: one member with the mean of their weights
- `can_be_averaged`: False where the settings rule that out
- `order_matters`: whether its forecasts are made from one order of the answers, so that both must be looked at
- `base`: a mapping of name, revision, sha256 and licence of weights that its folder does not hold
- `cuts(prepared)`: what was cut from the texts of prepared battles, as a `votecast.text.report.Cut`
- `run_with(**inference)`: the fitted member forecasts with another precision, on other devices
- `numbers`: names of columns that it reads beside the texts, such as scores
- `link`: how its scores become votes, as a `votecast.calibration.link.Link`
- `packages`: names of the installed packages on whose versions its weights depend
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ConfigError
from votecast.types import Probabilities, Run

if TYPE_CHECKING:
    from votecast.text.report import Cut


class Prepared(Protocol):
    """Battles in the form a model works on; made once, cut into folds many times."""

    def __len__(self) -> int:
        """Number of battles."""

    def take(self, indices: ArrayLike) -> Self:
        """The battles at these positions, in this order."""


class Model(Protocol):
    """One fitted member of a judge: no folds, no calibration, no folder of its own."""

    settings_type: ClassVar[type[Settings]]

    def __init__(self, settings: Any, *, seed: int) -> None: ...

    def prepare(self, battles: Battles) -> Any:
        """Turn battles into what `fit` and `predict` take, row by row."""

    def fit(
        self,
        prepared: Any,
        targets: Probabilities,
        weights: NDArray[np.float64],
        groups: NDArray[np.int64],
        run: Run = ...,
    ) -> Self:
        """Learn from soft labels of shape (n, 3) and weights of shape (n,); rows of one group share a prompt.

        Whatever lies in `run.folder` was left by the same fit, killed; a family that can continues from it.
        """

    def predict(self, prepared: Any) -> Probabilities:
        """Uncalibrated probabilities of shape (n, 3)."""

    def save(self, folder: Path) -> None:
        """Write files of safe formats into an existing, empty folder."""

    @classmethod
    def load(cls, folder: Path, settings: Any, *, seed: int) -> Self:
        """Read back what `save` wrote; predictions are bit-equal."""


def release(member: Model) -> None:
    """Let a fitted member give its accelerator back, if its family holds one."""
    if (method := getattr(member, "release", None)) is not None:
        method()


def run_with(member: Model, **inference: Any) -> bool:
    """Let a member forecast with other settings of `inference`; whether its family has any."""
    method = getattr(member, "run_with", None)
    if method is not None:
        method(**inference)
    return method is not None


def averaged(members: Sequence[Model]) -> Model:
    """One member with the mean of the weights of several.

    Raises:
        ConfigError: If their family cannot.
    """
    check_averaged(members[0])
    made: Model = type(members[0]).averaged(members)  # type: ignore[attr-defined]
    return made


def check_averaged(member: Model) -> None:
    """Refuse members whose weights cannot be averaged.

    Raises:
        ConfigError: If their family has no `averaged`, or these settings rule it out.
    """
    if not hasattr(member, "averaged") or not getattr(member, "can_be_averaged", True):
        raise ConfigError(
            f"final is average_weights, and weights of {type(member).__name__} with these settings cannot be averaged; "
            "use average, which averages forecasts"
        )


def order_matters(member: Model) -> bool:
    """Whether exchanging the answers may change more than the names of the columns."""
    return bool(getattr(member, "order_matters", False))


def base_of(member: Model) -> dict[str, Any] | None:
    """Name, revision, sha256 and licence of the weights a member stands on and its folder does not hold."""
    base: Mapping[str, Any] | None = getattr(member, "base", None)
    return dict(base) if base is not None else None


def numbers_of(member: Model | type[Model]) -> tuple[str, ...]:
    """Names of the columns of numbers that a family reads beside the texts; none where only a member can say."""
    found = getattr(member, "numbers", ())
    return () if isinstance(found, property) else tuple(found)


def link_of(member: Model) -> dict[str, Any] | None:
    """How the scores of a member become votes; None for a family without scores."""
    link = getattr(member, "link", None)
    return None if link is None else dict(link.to_dict())


def cuts_of(member: Model, prepared: Any) -> Cut | None:
    """What was cut from the texts of prepared battles; None for a family that reads them whole."""
    method = getattr(member, "cuts", None)
    found: Cut | None = method(prepared) if method is not None else None
    return found


def versions_of(kind: type[Model]) -> dict[str, str]:
    """Versions of the installed packages on which the weights of a family depend."""
    found = {}
    for name in ("numpy", *getattr(kind, "packages", ())):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found
