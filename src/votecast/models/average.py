"""Judges of several families on the same rows, averaged: what one overlooks another may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, field_validator

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ConfigError
from votecast.models.base import Model, base_of, cuts_of, order_matters, release, run_with
from votecast.models.registry import family
from votecast.text.report import Cut
from votecast.types import Probabilities, Run

_LEAST = 1e-9


class AverageSettings(Settings):
    """Settings of an average.

    Args:
        members: For each member its `family`, its settings as `model`, and optionally its `weight` (1).
    """

    members: tuple[dict[str, Any], ...] = Field(
        ({"family": "baseline"},), min_length=1, max_length=20, validate_default=True
    )

    @field_validator("members")
    @classmethod
    def _checked(cls, members: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        return tuple(_whole(member, number) for number, member in enumerate(members))


@dataclass(frozen=True)
class Prepared:
    """Battles as each member wants them.

    Args:
        parts: One for each member.
    """

    parts: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.parts[0])

    def take(self, indices: ArrayLike) -> Prepared:
        """The battles at these positions, in this order."""
        return Prepared(tuple(part.take(indices) for part in self.parts))


class AverageModel:
    """Members of any families, fitted on the same rows, joined by the weighted geometric mean of their forecasts.

    The logarithmic opinion pool (Genest and Zidek 1986, eq. 3.1): p is proportional to the product of p_i^w_i. It keeps
    the order of the answers where every member does.

    Args:
        settings: The members.
        seed: Seed of every member.
    """

    settings_type: ClassVar[type[Settings]] = AverageSettings
    packages: ClassVar[tuple[str, ...]] = ("lightgbm", "torch", "transformers", "tokenizers", "peft")

    def __init__(self, settings: AverageSettings, *, seed: int = 0) -> None:
        self.settings, self.seed = settings, seed
        self.members = [_member(member, seed) for member in settings.members]

    @property
    def order_matters(self) -> bool:
        """Whether any member sees the answers in one order only."""
        return any(map(order_matters, self.members))

    @property
    def base(self) -> dict[str, Any] | None:
        """The weights that the first member which stands on some does not hold."""
        return next((base for base in map(base_of, self.members) if base is not None), None)

    def prepare(self, battles: Battles) -> Prepared:
        """Battles as each member wants them."""
        return Prepared(tuple(member.prepare(battles) for member in self.members))

    def cuts(self, prepared: Prepared) -> Cut | None:
        """What the cuts of the first member that cuts leave of every battle."""
        found = (cuts_of(member, part) for member, part in zip(self.members, prepared.parts, strict=True))
        return next((cut for cut in found if cut is not None), None)

    def fit(
        self,
        prepared: Prepared,
        targets: Probabilities,
        weights: NDArray[np.float64],
        groups: NDArray[np.int64],
        run: Run = Run(),  # noqa: B008 - frozen
    ) -> Self:
        """Fit every member on the same rows, one after the other."""
        for number, (member, part) in enumerate(zip(self.members, prepared.parts, strict=True)):
            member.fit(part, targets, weights, groups, run.within(f"member_{number}"))
        return self

    def predict(self, prepared: Prepared) -> Probabilities:
        """Uncalibrated probabilities of shape (n, 3)."""
        shares = np.array([member["weight"] for member in self.settings.members])
        forecasts = [member.predict(part) for member, part in zip(self.members, prepared.parts, strict=True)]
        logs = np.stack([np.log(np.maximum(p, _LEAST)) for p in forecasts])
        pool = np.exp(np.einsum("m,mnc->nc", shares / shares.sum(), logs))
        return np.asarray(pool / ((pool[:, 0] + pool[:, 1]) + pool[:, 2])[:, None])

    def run_with(self, **inference: Any) -> None:
        """Let every member that has settings of `inference` forecast with others.

        Raises:
            ConfigError: If none has.
        """
        if not any([run_with(member, **inference) for member in self.members]):  # noqa: C419 - every member is told
            raise ConfigError(f"no member of this average has settings of inference; drop {', '.join(inference)}")

    def release(self) -> None:
        """Let every member give its accelerator back."""
        for member in self.members:
            release(member)

    def save(self, folder: Path) -> None:
        """Write every member into a folder of its own."""
        for number, member in enumerate(self.members):
            (folder / str(number)).mkdir()
            member.save(folder / str(number))

    @classmethod
    def load(cls, folder: Path, settings: AverageSettings, *, seed: int = 0) -> Self:
        """Read back what `save` wrote; predictions are bit-equal."""
        model = cls(settings, seed=seed)
        model.members = [
            type(member).load(folder / str(number), _settings(described), seed=seed)
            for number, (member, described) in enumerate(zip(model.members, settings.members, strict=True))
        ]
        return model


def _whole(member: Mapping[str, Any], number: int) -> dict[str, Any]:
    unknown = sorted(set(member) - {"family", "model", "weight"})
    weight = member.get("weight", 1.0)
    if unknown or not isinstance(member.get("family"), str):
        raise ValueError(
            f"member {number} has {', '.join(unknown) or 'no family'}; "
            "a member has a family, and may have model and weight"
        )
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise ValueError(f"member {number} has weight {weight!r}; a weight is a number above 0")
    if member["family"].replace("-", "_") == "average":
        raise ValueError(f"member {number} is an average itself; list its members here")
    settings = family(member["family"]).settings_type.parse(member.get("model", {}), origin=f"member {number}")
    return {"family": member["family"].replace("-", "_"), "model": settings.dump(), "weight": float(weight)}


def _settings(member: Mapping[str, Any]) -> Settings:
    return family(member["family"]).settings_type.parse(member["model"])


def _member(member: Mapping[str, Any], seed: int) -> Model:
    return family(member["family"])(_settings(member), seed=seed)
