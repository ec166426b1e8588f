"""One calibrator after another: what a judge that has been calibrated again carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.calibration.base import Calibrator, Groups
from votecast.calibration.table import read_calibrator
from votecast.errors import JudgeError
from votecast.types import Probabilities


class Chain:
    """Fitted calibrators, each applied to what the one before it gives.

    Args:
        parts: At least one, in order; chains among them are unrolled.

    Example:
        >>> from votecast.calibration.temperature import Temperature
        >>> Chain([Temperature(2.0), Temperature(0.5)]).transform([[0.8, 0.1, 0.1]]).round(3)
        array([[0.8, 0.1, 0.1]])
    """

    method: ClassVar[str] = "chain"
    parameters: ClassVar[int] = 0

    def __init__(self, parts: Sequence[Calibrator]) -> None:
        self.parts: tuple[Calibrator, ...] = tuple(
            one for part in parts for one in (part.parts if isinstance(part, Chain) else (part,))
        )

    @property
    def by(self) -> tuple[str, ...]:
        """What rows must be grouped by for any part."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.by))

    def fit(
        self,
        probabilities: ArrayLike,  # noqa: ARG002
        targets: ArrayLike,  # noqa: ARG002
        weights: ArrayLike | None = None,  # noqa: ARG002
        *,
        clusters: ArrayLike | None = None,  # noqa: ARG002
        groups: Groups | None = None,  # noqa: ARG002
    ) -> Self:
        """Refuse: each part was fitted on votes of its own.

        Raises:
            JudgeError: Always.
        """
        raise JudgeError("a chain of calibrators is made of fitted ones and cannot be fitted itself; fit a new part")

    def transform(self, probabilities: ArrayLike, groups: Groups | None = None) -> Probabilities:
        """Calibrate forecasts (n, 3) by one part after another."""
        p = self.parts[0].transform(probabilities, groups)
        for part in self.parts[1:]:
            p = part.transform(p, groups)
        return p

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """The states of the parts; their arrays under the number of the part."""
        states = [part.state() for part in self.parts]
        arrays = {f"{number}.{name}": array for number, (_, own) in enumerate(states) for name, array in own.items()}
        return {"method": self.method, "parts": [config for config, _ in states]}, arrays

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        """The chain of these parts.

        Raises:
            ValueError: If there is none.
        """
        if not config["parts"]:
            raise ValueError("a chain of calibrators has at least one part")
        return cls(
            [read_calibrator(part, arrays_under(str(number), arrays)) for number, part in enumerate(config["parts"])]
        )


def arrays_under(name: str, arrays: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """The arrays whose names begin with `name` and a dot, without that beginning."""
    start = f"{name}."
    return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}
