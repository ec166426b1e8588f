"""What members around a network share, in torch and in Keras: tokens, rows held out, records of the training.

`models.neural.neural_model` and `models.keras_siamese.keras_model` derive from it; it imports neither framework.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from votecast.config import Settings
from votecast.errors import JudgeError
from votecast.models.base import Model, P
from votecast.models.stacking import hold_out
from votecast.text.encoder import TextEncoder
from votecast.text.tokenization import Tokenizer
from votecast.training.tracking import Record
from votecast.types import Ints

METRICS = "metrics.jsonl"


class NetworkModel(Model[P]):
    """A member of a judge around a network that reads tokens.

    Args:
        settings: Settings of the family, with `name`, `text` and `training`.
        seed: Seed of every draw.

    Attributes:
        records: The lines of metrics.jsonl.
        sorts_records: Whether the figures of a line of metrics.jsonl come in the order of their names.
    """

    sorts_records = True

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.records: list[Record] = []

    @cached_property
    @abstractmethod
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the backbone."""

    @cached_property
    def text(self) -> TextEncoder:
        """The encoder of battles as sequences."""
        return TextEncoder(self.tokenizer, self.settings.text)

    @property
    def pad_id(self) -> int:
        """The token that pads shorter sequences.

        Raises:
            JudgeError: If the tokenizer has none.
        """
        if self.tokenizer.pad_id is None:
            raise JudgeError(
                f"the tokenizer of {self.settings.name!r} has no padding token; add one to its special tokens "
                "(tokenizer.add_special_tokens and save_pretrained) and name that folder"
            )
        return self.tokenizer.pad_id

    def split_rows(self, groups: Ints) -> tuple[Ints, Ints]:
        """Split rows into those to learn from and those to choose the weights by."""
        return hold_out(groups, self.settings.training.valid_share, self.seed)

    @staticmethod
    def joined_records(members: Sequence[NetworkModel[P]]) -> list[Record]:
        """Return the records of several members, each with the number of its member."""
        return [{"member": at, **record} for at, member in enumerate(members) for record in member.records]

    def write_records(self, folder: Path) -> None:
        """Write metrics.jsonl into a folder."""
        lines = [json.dumps(record, sort_keys=self.sorts_records) + "\n" for record in self.records]
        (folder / METRICS).write_text("".join(lines), "utf-8")

    def read_records(self, folder: Path) -> None:
        """Read what `write_records` wrote."""
        self.records = [json.loads(line) for line in (folder / METRICS).read_text("utf-8").splitlines()]
