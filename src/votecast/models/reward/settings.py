"""Settings of the reward family; no torch here, so that recipes are checked where it is not installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, field_validator, model_validator

from votecast.calibration.score_link import LinkSettings
from votecast.models.neural.settings import CausalSettings
from votecast.text.settings import TextSettings

_TEXT = {"template": "chat", "cut": "drop_turns", "max_length": 2048}


class RewardSettings(CausalSettings):
    """Settings of the reward judge, which reads (prompt, answer) and gives it one number.

    Args:
        name: Besides what every family in torch takes, the folder or name of an InternLM2 reward model.
        adapter: None takes the model as it is, which must be a reward model; only the link learns from votes. If set,
            low-rank adapters and the head are trained on decided votes, by the likelihood of Bradley and Terry (1952).
        link: From the gap between two rewards to three probabilities.
        link_share: With an adapter, about the share of the rows, by whole groups of one prompt, that the network is not
            trained on and on which the link is fitted; without one, the link is fitted on all rows.
        text: With template chat, the tokenizer's own chat template writes the whole sequence; where it has none,
            ChatML does, between the tokenizer's beginning and end of a text.
    """

    name: str = "smollm2"
    link: LinkSettings = LinkSettings()
    link_share: float = Field(0.2, gt=0, le=0.5)
    text: TextSettings = TextSettings.parse(_TEXT)

    @field_validator("text", mode="before")
    @classmethod
    def _over_defaults(cls, text: object) -> object:
        """Keep the defaults of this class for settings of the text that are not given."""
        return _TEXT | dict(text) if isinstance(text, Mapping) else text

    @model_validator(mode="after")
    def _one_answer_a_sequence(self) -> Self:
        if self.text.template in ("tags", "question"):
            raise ValueError(
                f"text.template is {self.text.template}, which holds both answers in a sequence, and a reward is given "
                "to one; allowed are chat, segments and labels"
            )
        return self
