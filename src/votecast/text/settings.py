"""Settings of the text that a judge reads."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from votecast.config import Settings

TemplateName = Literal["segments", "chat", "tags", "question", "labels"]
CutName = Literal["shares", "balanced", "drop_turns", "right", "left", "middle"]


class TextSettings(Settings):
    """How a battle becomes token ids.

    Args:
        template: "segments" `[CLS] P [SEP] A [SEP] B` (system 1), "chat" one chat an answer (system 2), "tags"
            `<prompt>: ` ... (system 3), "question" an instruction before the tags (system 4), "labels"
            `Prompt: ` ... `Response: ` ... one text an answer (system 5).
        cut: What goes where a battle is too long: "shares" gives the prompt at most `prompt_share`, the first answer
            half of what remains and the second the rest; "balanced" shares out turn by turn, the same for both
            answers, unused tokens handed on; "drop_turns" drops late turns; "right" and "left" cut the end or the
            start of the whole text; "middle" shares out as "balanced" and keeps both ends of every text around
            "(… n characters)".
        max_length: The most tokens of one sequence, special tokens included.
        prompt_share: Share of the prompt; None: 1/4 for "shares", 1/5 for "balanced" and "middle".
        floor: The fewest tokens a turn is worth under "balanced" and "middle"; late turns go where there is less.
        joint: Text between two turns; None: a line feed twice for "segments", a space for the others.
        first_turn: Read the first turn only; None: for "labels" only.
        raw_cell: Read each column as the contest's file spells it, brackets, quotes and escapes included.
        whole: Tokenize the joined text as one string and cut it on the right, as systems 3 to 5 do.
        bos: Put the beginning-of-text token first; None: for decoders' templates where the tokenizer has one.
        eos: Put the end-of-text token last; None: for "tags" and "question".
        characters: For "drop_turns": the most characters of all texts, then of the first prompt and of each first
            answer where even one turn is too long.
    """

    template: TemplateName = "segments"
    cut: CutName = "shares"
    max_length: Annotated[int, Field(ge=16, le=1_000_000)] = 512
    prompt_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    floor: Annotated[int, Field(ge=1)] = 80
    joint: str | None = None
    first_turn: bool | None = None
    raw_cell: bool = False
    whole: bool = False
    bos: bool | None = None
    eos: bool | None = None
    characters: tuple[int, int, int] | None = None
