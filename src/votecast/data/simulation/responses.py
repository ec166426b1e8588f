"""Write what a simulated model answers, and count its virtues and faults on the way.

`simulate` calls `write_response` for both sides of every battle; `quality` turns the counts into a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from votecast.data.simulation.contestants import Contestant
from votecast.data.simulation.dice import Dice
from votecast.data.simulation.phrases import CODE_BLOCKS, LANGUAGES, Phrases
from votecast.data.simulation.questions import Conversation, Turn
from votecast.data.simulation.votes import Traits

_EMOJI = ("😀", "👍", "🚀", "✨", "👩‍💻", "🎉")
_TYPICAL_CHARACTERS, _MOST_CHARACTERS = 440.0, 12_000
_SPREAD, _OWN_SPREAD = 0.68, 0.35  # of log length: what prompts ask for, and what is left to the model


def write_response(conversation: Conversation, model: Contestant, dice: Dice) -> tuple[list[str | None], Traits]:
    """Write the turns of one model's answer, and return what was counted in them."""
    traits = Traits()
    focus = _share(0.62 + 0.09 * model.skill + 0.26 * dice.normal())
    size = _SPREAD * conversation.size + model.verbosity + _OWN_SPREAD * dice.normal()
    target = min(_TYPICAL_CHARACTERS * math.exp(size), _MOST_CHARACTERS)
    texts = [_write_turn(conversation, turn, model, focus, target, traits, dice) for turn in conversation.turns]
    traits.turns = len(texts)
    traits.chars = sum(len(text) for text in texts if text)
    return texts, traits


def _write_turn(
    conversation: Conversation, turn: Turn, model: Contestant, focus: float, target: float, traits: Traits, dice: Dice
) -> str | None:
    language = conversation.language
    if dice.chance(0.003):
        traits.empty += 1
        return None
    if dice.chance(model.refuses):
        traits.refused += 1
        sentences = dice.some(language.refusals, 1 + dice.below(2))
        if dice.chance(0.5):
            sentences.append(dice.pick(language.vague))
        traits.sentences += len(sentences)
        return language.stop[1:].join(sentences)
    if dice.chance(model.foreign):
        language = dice.pick(LANGUAGES[1:]) if language is LANGUAGES[0] else LANGUAGES[0]
        traits.foreign += 1
    writer = _TurnWriter(language, conversation, turn, focus, traits, dice)
    target *= language.density
    return writer.loop(target) if dice.chance(model.loops) else writer.write(model, target)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


class _TurnWriter:
    """Write one turn of an answer and count its traits."""

    def __init__(
        self, language: Phrases, conversation: Conversation, turn: Turn, focus: float, traits: Traits, dice: Dice
    ) -> None:
        self.language = language
        self.turn = turn
        self.traits = traits
        self.dice = dice
        self.on_topic = bool(turn.nouns) and language is conversation.language
        self.nouns = turn.nouns if self.on_topic else language.topics[conversation.topic]
        away = 1 + dice.below(len(language.topics) - 1)
        self.strangers = language.topics[(conversation.topic + away) % len(language.topics)]
        self.focus = focus if turn.nouns else 0.0
        self.last = ""

    def write(self, model: Contestant, target: float) -> str:
        """Write what was asked for, then paragraphs or a list until the target length is reached."""
        dice, traits, kind = self.dice, self.traits, self.turn.kind
        delivers = dice.chance(_share(0.65 + 0.15 * model.skill))
        listed = dice.chance(model.lists) or (delivers and kind == "list")
        headed, bold = dice.chance(model.headings), dice.chance(model.bold)
        blocks = []
        if kind == "sum":
            blocks.append(self.sums(model))
        elif kind == "table" and delivers:
            blocks.append(self.table())
        elif kind == "code" and delivers:
            word, block = dice.pick(self.nouns), dice.pick(CODE_BLOCKS)
            blocks.append(block.format(w=word, i=2 + dice.below(97), j=2 + dice.below(97)))
        traits.delivered += (kind == "list" and listed) or (kind in ("table", "code") and delivers)
        traits.lists += listed
        traits.headings += headed
        traits.bold += bold
        length = sum(map(len, blocks))
        prose = 0
        while length < target or not prose:
            block = self.items(bold) if listed and not prose else self.paragraph(bold and not prose)
            if headed and prose % 2 == 0:
                block = f"## {dice.pick(self.language.headings)}\n\n{block}"
            blocks.append(block)
            length += len(block)
            prose += 1
        if dice.chance(model.chatty):
            emoji = f" {dice.pick(_EMOJI)}" if dice.chance(0.4) else ""
            blocks.append(dice.pick(self.language.closings) + emoji)
        return "\n\n".join(blocks)

    def loop(self, target: float) -> str:
        """Write a start, then the same sentence over and over."""
        parts = [self.sentence() for _ in range(1 + self.dice.below(3))]
        again = max(3, int(target / len(parts[-1])))
        self.traits.sentences += again
        self.traits.repeated += again
        return self.language.stop[1:].join(parts + parts[-1:] * again)

    def paragraph(self, bold: bool) -> str:
        """Write two to five sentences."""
        text = self.language.stop[1:].join([self.sentence() for _ in range(2 + self.dice.below(4))])
        return f"**{self.dice.pick(self.language.headings)}:** {text}" if bold else text

    def items(self, bold: bool) -> str:
        """Write a bullet or numbered list."""
        numbered = self.dice.chance(0.5)
        rows = []
        for number in range(1, 4 + self.dice.below(4)):
            mark = f"{number}." if numbered else "-"
            name = f"**{self.dice.pick(self.language.headings)}**: " if bold else ""
            rows.append(f"{mark} {name}{self.sentence()}")
        return "\n".join(rows)

    def table(self) -> str:
        """Write a Markdown table with a row for each noun of the question."""
        rows = [f"| {noun} | {self.dice.below(100)} | {self.dice.below(100)} % |" for noun in self.nouns]
        head = self.language.headings
        return "\n".join([f"| {head[0]} | {head[1]} | {head[2]} |", "|---|---|---|", *rows])

    def sums(self, model: Contestant) -> str:
        """Write the sum that was asked for and a few more like it, some of them wrong."""
        n, m = self.turn.numbers
        lines = []
        for number in range(1 + self.dice.below(3)):
            wrong = self.dice.chance(_share(0.25 - 0.1 * model.skill))
            self.traits.wrong_sums += wrong
            lines.append(f"{n + number} + {m} = {n + number + m + (1 + self.dice.below(9) if wrong else 0)}")
        return "\n".join(lines)

    def sentence(self) -> str:
        """Write one sentence: on the nouns of the question, on something else, or on nothing."""
        on_topic = self.dice.chance(self.focus)
        if not on_topic and self.dice.chance(0.3):
            text = self.dice.pick(self.language.vague)
        else:
            text = self.statement(self.nouns if on_topic else self.strangers)
        repeated = text == self.last
        self.traits.sentences += 1
        self.traits.repeated += repeated
        self.traits.on_topic += on_topic and self.on_topic and not repeated
        self.last = text
        return text

    def statement(self, nouns: Sequence[str]) -> str:
        """Write a sentence about two of these nouns."""
        language, uniform, count = self.language, self.dice.uniform, len(nouns)
        first = int(uniform() * count)
        second = (first + 1 + int(uniform() * (count - 1))) % count
        clause = language.clauses[int(uniform() * len(language.clauses))] % (nouns[first], nouns[second])
        opener = language.openers[int(uniform() * len(language.openers))]
        return f"{opener}{clause}{language.tails[int(uniform() * len(language.tails))]}{language.stop.rstrip()}"
