"""Settings of the text that a judge reads: template, truncation, budget.

Recipes of neural judges set them; `TextEncoder` follows them.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from votecast.config import Settings

TemplateName = Literal["segments", "chat", "tags", "question", "labels"]
CutName = Literal["shares", "balanced", "drop_turns", "right", "left", "middle"]

_PROMPT_SHARE: dict[CutName, float] = {"shares": 1 / 4, "drop_turns": 1 / 7}


class TextSettings(Settings):
    """How a battle becomes token ids.

    Args:
        template: "segments" is `[CLS] P [SEP] A [SEP] B`, "chat" one chat per response, "tags" `<prompt>: `,
            `<response_a>: `, `<response_b>: `, "question" an instruction before the tags, "labels" `Prompt: `,
            `Response: `, one sequence per response.
        cut: How a battle that is too long is truncated. "shares": the prompt keeps at most `prompt_share`, the first
            response half of the rest, the second the remainder, even where all would fit. "balanced":
            shared out turn by turn, both responses alike; unused tokens go to the others. "middle": as "balanced", and
            every text keeps both ends around "(… n characters)". "drop_turns": late turns are dropped. "right", "left":
            the end or the start of the whole is dropped.
        max_length: The most tokens of one sequence, special tokens included.
        prompt_share: Share of the prompt in a sequence that is too long; None: 1/4 for "shares", 1/5 for "balanced"
            and "middle", 1/7 for a single turn that is too long for "drop_turns" (1/4 with one response a sequence).
        floor: The fewest tokens for which a turn stays under "balanced" and "middle", unless it needs fewer.
        joint: Text between two turns; None: an empty line for "segments", a space for the others.
        first_turn: Read the first turn only; None: for "labels" only.
        raw_cell: Read each column as the contest's file spells it: brackets, quotes and escapes included.
        whole: Tokenize and truncate the joined text as one string instead of turn by turn.
        in_chat: Put the whole into the tokenizer's chat template, as a user's turn before a response; for tags and
            question.
        bos: Begin with the classification token, or the one for the beginning of a text; None: if there is one.
        eos: End with the separator, or the token for the end of a text; None: if there is one.
        characters: Before tokenization drop late turns until all texts have at most this many characters; where one
            turn is too long, cut its prompt and its responses to these. None: no limit.
    """

    template: TemplateName = "segments"
    cut: CutName = "shares"
    max_length: Annotated[int, Field(ge=16, le=1_000_000)] = 512
    prompt_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    floor: Annotated[int, Field(ge=8)] = 80
    joint: str | None = None
    first_turn: bool | None = None
    raw_cell: bool = False
    whole: bool = False
    in_chat: bool = False
    bos: bool | None = None
    eos: bool | None = None
    characters: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = (
        None
    )

    @model_validator(mode="after")
    def _reject_contradictions(self) -> Self:
        if self.whole and (self.cut not in ("right", "left") or self.template in ("segments", "chat")):
            raise ValueError(
                f"whole goes with template tags, question or labels and with cut right or left; given are template "
                f"{self.template} and cut {self.cut}"
            )
        if self.raw_cell and (self.template == "chat" or self.first_turn or self.characters):
            raise ValueError(
                "raw_cell reads a column as one text; it excludes template chat, first_turn and characters"
            )
        if self.whole and (self.raw_cell or self.characters):
            raise ValueError("whole reads the turns as they are; it excludes raw_cell and characters")
        if self.in_chat and self.template not in ("tags", "question"):
            raise ValueError(f"in_chat goes with template tags or question; given is template {self.template}")
        if self.in_chat and (self.bos or self.eos):
            raise ValueError("in_chat ends as the chat template does; leave bos and eos out")
        if self.template == "segments" and (self.bos is not None or self.eos is not None):
            raise ValueError("template segments has special tokens of its own; leave bos and eos out")
        return self

    @property
    def share(self) -> float:
        """Share of the prompt; the default of `cut` if not set."""
        return self.prompt_share or _PROMPT_SHARE.get(self.cut, 1 / 5)

    @property
    def between(self) -> str:
        """Text between two turns; the default of the template if not set."""
        return self.joint if self.joint is not None else "\n\n" if self.template == "segments" else " "

    @property
    def only_first(self) -> bool:
        """Whether only the first turn is read; the default of the template if not set."""
        return self.template == "labels" if self.first_turn is None else self.first_turn
