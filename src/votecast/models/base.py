"""The base class of every family: one fitted member of a judge, without folds and calibration.

Cross-validation, judge folders and composed judges in `votecast.judges` know families by this class alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from numpy.typing import ArrayLike

from votecast.artifacts import DAMAGE
from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, ConfigError
from votecast.types import Floats, Ints, Probabilities, Run

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    from votecast.calibration.score_link import Link
    from votecast.text.truncation import TruncationReport

    P = TypeVarWithDefault("P", default=Any)
else:
    P = TypeVar("P")


class Prepared(Protocol):
    """Battles in the form a model reads; made once, cut into folds many times."""

    def __len__(self) -> int:
        """Return the number of battles."""

    def take(self, indices: ArrayLike) -> Self:
        """Return the battles at these positions, in this order."""


class Model(ABC, Generic[P]):
    """One member of a judge: it learns from prepared battles and predicts them, uncalibrated.

    A family implements `prepare`, `fit`, `predict`, `save` and `_restore`, and overrides of the rest what differs from
    the defaults here. `P` is the type of its prepared battles; see `Prepared`.

    Args:
        settings: Settings of the family; None takes the defaults.
        seed: Seed of every draw.

    Attributes:
        settings_type: The class of the settings.
        packages: Installed packages on whose versions the fitted weights depend.
        numbers: Names of columns of numbers that the family reads beside the texts, such as scores.
        link: How scores become votes; None for a family without scores.
    """

    settings_type: ClassVar[type[Settings]]
    packages: ClassVar[tuple[str, ...]] = ()
    numbers: tuple[str, ...] = ()
    link: Link | None = None

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        self.settings: Any = settings or self.settings_type()
        self.seed = seed

    @abstractmethod
    def prepare(self, battles: Battles) -> P:
        """Turn battles into what `fit` and `predict` take, row by row."""

    @abstractmethod
    def fit(
        self, prepared: P, targets: Probabilities, weights: Floats, groups: Ints | None = None, run: Run = Run()
    ) -> Self:
        """Learn from votes.

        Args:
            prepared: What `prepare` made of n battles.
            targets: Soft labels, shape (n, 3).
            weights: How much each row counts, shape (n,).
            groups: Rows of one group share a prompt, shape (n,); None takes every row as a group of its own.
            run: Its folder may hold partial output of the same fit after a kill; a family may resume from it.

        Returns:
            The model itself.
        """

    @abstractmethod
    def predict(self, prepared: P) -> Probabilities:
        """Return uncalibrated probabilities of shape (n, 3)."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write files of safe formats into an existing, empty folder."""

    @classmethod
    def load(cls, folder: Path, settings: Settings | None = None, *, seed: int = 0) -> Self:
        """Read what `save` wrote; predictions are bit-equal.

        Raises:
            ArtifactError: If a file is missing or damaged.
        """
        model = cls(settings, seed=seed)
        try:
            model._restore(folder)
        except DAMAGE as error:
            raise ArtifactError(
                f"{folder} is damaged: {type(error).__name__}: {error}; copy or train the judge again"
            ) from error
        return model

    @abstractmethod
    def _restore(self, folder: Path) -> None:
        """Read what `save` wrote into this model; any error of files and parsers becomes an ArtifactError."""

    # Defaults of everything beyond fitting and predicting; a family overrides those that do not hold for it.

    @property
    def order_matters(self) -> bool:
        """Whether swapping the answers may change more than the columns a and b."""
        return False

    @property
    def averages_orders(self) -> bool:
        """Whether predictions are the mean over both orders of the answers."""
        return False

    def with_shown_order(self) -> Self:
        """Return a model that predicts from the shown order alone; itself unless it averages both orders."""
        return self

    def truncation(self, prepared: P) -> TruncationReport | None:  # noqa: ARG002
        """Return what was truncated of each battle; None for a family that reads whole texts."""
        return None

    @property
    def commit(self) -> str | None:
        """Commit of a hub model that the members of one training all start from."""
        return None

    @property
    def base(self) -> dict[str, object] | None:
        """Name, revision, sha256 and licence of weights that the member's folder does not hold."""
        return None

    @property
    def report_to(self) -> tuple[str, ...]:
        """Trackers that get the records of the training."""
        return ()

    @property
    def eval_rows(self) -> int:
        """Held-out rows that the training is to be measured on as it goes; see `watch`."""
        return max((model.eval_rows for model in self.submodels()), default=0)

    def watch(self, prepared: P, targets: Probabilities, weights: Floats) -> None:
        """Set held-out rows that `fit` measures its weights on as it goes; they change nothing that is learnt.

        Args:
            prepared: What `prepare` made of `eval_rows` battles.
            targets: Soft labels, shape (n, 3).
            weights: How much each row counts, shape (n,).
        """

    def submodels(self) -> Sequence[Model]:
        """Return the models inside this one; most families have none."""
        return ()

    def leaves(self) -> Iterator[Model]:
        """Yield the models inside, at any depth, that hold no others; this one if it holds none."""
        inside = self.submodels()
        if not inside:
            yield self
        for model in inside:
            yield from model.leaves()

    def set_inference(self, **inference: object) -> bool:
        """Change settings of `inference` from now on; return whether the family has any.

        Raises:
            ConfigError: If a setting is unknown or invalid.
        """
        return any([model.set_inference(**inference) for model in self.submodels()])  # noqa: C419 - all of them change

    def check_training(self) -> None:
        """Check, before votes are read, that the packages, precisions and models of the settings are available.

        Raises:
            ConfigError: If this machine does not compute in a precision, or a model cannot be found.
            MissingExtraError: If a package is not installed.
        """
        for model in self.submodels():
            model.check_training()

    def release(self) -> None:
        """Free the accelerator; the model still predicts."""
        for model in self.submodels():
            model.release()

    @property
    def can_be_averaged(self) -> bool:
        """Whether the mean of the weights of several members is a member."""
        return False

    def check_averaged(self) -> None:
        """Check that weights can be averaged.

        Raises:
            ConfigError: If this family, or its settings, rule it out.
        """
        if not self.can_be_averaged:
            raise ConfigError(
                f"final is average_weights, and weights of {type(self).__name__} with these settings cannot be "
                "averaged; use average, which averages predictions"
            )

    @classmethod
    def averaged(cls, members: Sequence[Self]) -> Self:
        """Return one member with the mean of the weights of several; see `can_be_averaged`."""
        raise NotImplementedError(f"{cls.__name__} has no mean of weights; see can_be_averaged")

    @classmethod
    def versions(cls) -> dict[str, str]:
        """Return the versions of the installed packages on which the weights depend."""
        found = {}
        for name in ("numpy", *cls.packages):
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = "absent"
        return found

    @classmethod
    def plot_schedule(cls, settings: Settings, path: Path, *, overwrite: bool = False) -> None:  # noqa: ARG003
        """Draw the learning rate over the epochs into a file.

        Raises:
            ConfigError: If the family has no learning rate to draw.
        """
        raise ConfigError(f"{cls.__name__} has no learning rate to draw; the recipe siamese_keras has one")
