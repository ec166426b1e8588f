"""The average family: members of several families, fitted on the same rows, joined by a geometric mean."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, field_validator

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.models.base import Model, Prepared
from votecast.models.registry import family, settings_type
from votecast.text.truncation import TruncationReport
from votecast.types import Floats, Ints, Probabilities, Run

_LEAST = 1e-9  # the logarithm of a probability of 0 would veto all other members


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
        return tuple(_check_member(member, number) for number, member in enumerate(members))


@dataclass(frozen=True)
class PreparedMembers:
    """Battles prepared for each member.

    Args:
        parts: One for each member.
    """

    parts: tuple[Prepared, ...]

    def __len__(self) -> int:
        return len(self.parts[0])

    def take(self, indices: ArrayLike) -> PreparedMembers:
        """Return the battles at these positions, in this order."""
        return PreparedMembers(tuple(part.take(indices) for part in self.parts))


class AverageModel(Model[PreparedMembers]):
    """Members of any families, joined by the weighted geometric mean of their predictions.

    The logarithmic opinion pool (Genest and Zidek 1986, eq. 3.1): p is proportional to the product of p_i^w_i. Swapping
    the answers swaps columns a and b where it does for every member.

    Args:
        settings: The members.
        seed: Seed of every member.
    """

    settings_type: ClassVar[type[Settings]] = AverageSettings
    packages: ClassVar[tuple[str, ...]] = ("lightgbm", "torch", "transformers", "tokenizers", "peft")

    settings: AverageSettings

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        kinds = [(family(member["family"]), member["model"]) for member in self.settings.members]
        self.members = [kind(kind.settings_type.parse(values), seed=seed) for kind, values in kinds]

    def submodels(self) -> list[Model]:
        """Return the members."""
        return self.members

    def with_shown_order(self) -> Self:
        """Return an average of members that predict from the shown order alone."""
        made = copy.copy(self)
        made.members = [member.with_shown_order() for member in self.members]
        return made

    @property
    def order_matters(self) -> bool:
        """Whether any member depends on the order of the answers."""
        return any(member.order_matters for member in self.members)

    @property
    def base(self) -> dict[str, object] | None:
        """The base of the first member that has one."""
        return next((member.base for member in self.members if member.base is not None), None)

    def prepare(self, battles: Battles) -> PreparedMembers:
        """Prepare battles for each member."""
        return PreparedMembers(tuple(member.prepare(battles) for member in self.members))

    def truncation(self, prepared: PreparedMembers) -> TruncationReport | None:
        """Return what was truncated by the first member that truncates."""
        found = (member.truncation(part) for member, part in zip(self.members, prepared.parts, strict=True))
        return next((cut for cut in found if cut is not None), None)

    def watch(self, prepared: PreparedMembers, targets: Probabilities, weights: Floats) -> None:
        """Set held-out rows that the members are measured on as they are fitted."""
        for member, part in zip(self.members, prepared.parts, strict=True):
            member.watch(part, targets, weights)

    def fit(
        self,
        prepared: PreparedMembers,
        targets: Probabilities,
        weights: Floats,
        groups: Ints | None = None,
        run: Run = Run(),
    ) -> Self:
        """Fit every member on the same rows, one after the other."""
        for number, (member, part) in enumerate(zip(self.members, prepared.parts, strict=True)):
            member.fit(part, targets, weights, groups, run.within(f"member_{number}"))
        return self

    def predict(self, prepared: PreparedMembers) -> Probabilities:
        """Return uncalibrated probabilities of shape (n, 3)."""
        shares = np.array([member["weight"] for member in self.settings.members])
        found = [member.predict(part) for member, part in zip(self.members, prepared.parts, strict=True)]
        logs = np.stack([np.log(np.maximum(p, _LEAST)) for p in found])  # (members, n, 3)
        pool = np.exp(np.einsum("m,mnc->nc", shares / shares.sum(), logs))
        # a + b first: the sum of swapped columns has the same bits
        return np.asarray(pool / ((pool[:, 0] + pool[:, 1]) + pool[:, 2])[:, None])

    def save(self, folder: Path) -> None:
        """Write every member into a folder of its own."""
        for number, member in enumerate(self.members):
            (folder / str(number)).mkdir()
            member.save(folder / str(number))

    def _restore(self, folder: Path) -> None:
        self.members = [
            type(member).load(folder / str(number), member.settings, seed=self.seed)
            for number, member in enumerate(self.members)
        ]


def _check_member(member: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A member with all its settings."""
    unknown = sorted(set(member) - {"family", "model", "weight"})
    weight, name = member.get("weight", 1.0), member.get("family")
    if unknown or not isinstance(name, str):
        raise ValueError(
            f"member {number} has {', '.join(unknown) or 'no family'}; "
            "a member has a family, and may have model and weight"
        )
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise ValueError(f"member {number} has weight {weight!r}; a weight is a number above 0")
    name = name.replace("-", "_")
    if name == "average":
        raise ValueError(f"member {number} is an average itself; list its members here")
    settings = settings_type(name).parse(member.get("model", {}), origin=f"member {number}")
    return {"family": name, "model": settings.dump(), "weight": float(weight)}
