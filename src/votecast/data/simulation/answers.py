"""What the models answer: texts whose virtues and faults are counted while they are written."""

from __future__ import annotations

import math
from collections.abc import Sequence

from votecast.data.simulation.code import code_block
from votecast.data.simulation.conversations import Conversation, Turn
from votecast.data.simulation.dice import Dice
from votecast.data.simulation.languages import LANGUAGES, Phrases
from votecast.data.simulation.models import Model
from votecast.data.simulation.quality import Traits

Answer = tuple[list[str | None], Traits]

_EMOJI = ("😀", "👍", "🚀", "✨", "👩‍💻", "🎉")
_TYPICAL = 440.0
_SPREAD = 0.68
_OWN_SPREAD = 0.35
_LONGEST = 12_000


def write_answer(conversation: Conversation, model: Model, dice: Dice) -> Answer:
    """The turns of one model's answer, and what was counted in them."""
    traits = Traits()
    focus = _share(0.62 + 0.09 * model.skill + 0.26 * dice.normal())
    size = _SPREAD * conversation.size + model.verbosity + _OWN_SPREAD * dice.normal()
    target = min(_TYPICAL * math.exp(size), _LONGEST)
    texts = [_answer_turn(conversation, turn, model, focus, target, traits, dice) for turn in conversation.turns]
    traits.turns = len(texts)
    traits.chars = sum(len(text) for text in texts if text)
    return texts, traits


def _answer_turn(
    conversation: Conversation, turn: Turn, model: Model, focus: float, target: float, traits: Traits, dice: Dice
) -> str | None:
    language = conversation.language
    if dice.chance(0.003):
        traits.empty += 1
        return None
    if dice.chance(model.refuses):
        traits.refused += 1
        return _refusal(language, traits, dice)
    if dice.chance(model.foreign):
        language = dice.pick(LANGUAGES[1:]) if language is LANGUAGES[0] else LANGUAGES[0]
        traits.foreign += 1
    writer = _Writer(language, conversation, turn, focus, traits, dice)
    target *= language.density
    if dice.chance(model.loops):
        return writer.loop(target)
    return writer.write(model, target)


def _refusal(language: Phrases, traits: Traits, dice: Dice) -> str:
    sentences = dice.some(language.refusals, 1 + dice.below(2))
    if dice.chance(0.5):
        sentences.append(dice.pick(language.vague))
    traits.sentences += len(sentences)
    return language.stop[1:].join(sentences)


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


class _Writer:
    """Writes one turn of an answer and keeps count."""

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

    def sentence(self) -> str:
        """One sentence, counted: on the nouns of the question, on something else, or on nothing."""
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
        """A sentence about two of these nouns."""
        language, uniform, count = self.language, self.dice.uniform, len(nouns)
        first = int(uniform() * count)
        second = (first + 1 + int(uniform() * (count - 1))) % count
        clause = language.clauses[int(uniform() * len(language.clauses))] % (nouns[first], nouns[second])
        opener = language.openers[int(uniform() * len(language.openers))]
        return f"{opener}{clause}{language.tails[int(uniform() * len(language.tails))]}{language.stop.rstrip()}"

    def loop(self, target: float) -> str:
        """A start, then the same sentence over and over."""
        parts = [self.sentence() for _ in range(1 + self.dice.below(3))]
        again = max(3, int(target / len(parts[-1])))
        self.traits.sentences += again
        self.traits.repeated += again
        return self.language.stop[1:].join(parts + parts[-1:] * again)

    def write(self, model: Model, target: float) -> str:
        """What was asked for, then paragraphs or a list until the target length is reached."""
        dice, traits, kind = self.dice, self.traits, self.turn.kind
        delivers = dice.chance(_share(0.65 + 0.15 * model.skill))
        listed = dice.chance(model.lists) or (delivers and kind == "list")
        headed, bold = dice.chance(model.headings), dice.chance(model.bold)
        blocks = self.first_blocks(model, delivers)
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
            blocks.append(self.closing())
        return "\n\n".join(blocks)

    def first_blocks(self, model: Model, delivers: bool) -> list[str]:
        """What goes before the prose: sums where they are asked for, a table or code where the model delivers."""
        if self.turn.kind == "sum":
            return [self.sums(model)]
        if self.turn.kind == "table" and delivers:
            return [self.table()]
        if self.turn.kind == "code" and delivers:
            return [code_block(self.dice.pick(self.nouns), self.dice)]
        return []

    def paragraph(self, bold: bool) -> str:
        """Two to five sentences."""
        text = self.language.stop[1:].join([self.sentence() for _ in range(2 + self.dice.below(4))])
        if bold:
            text = f"**{self.dice.pick(self.language.headings)}:** {text}"
        return text

    def items(self, bold: bool) -> str:
        """A bullet or numbered list."""
        numbered = self.dice.chance(0.5)
        rows = []
        for number in range(1, 4 + self.dice.below(4)):
            mark = f"{number}." if numbered else "-"
            name = f"**{self.dice.pick(self.language.headings)}**: " if bold else ""
            rows.append(f"{mark} {name}{self.sentence()}")
        return "\n".join(rows)

    def table(self) -> str:
        """A Markdown table with a row for each noun of the question."""
        rows = [f"| {noun} | {self.dice.below(100)} | {self.dice.below(100)} % |" for noun in self.nouns]
        head = self.language.headings
        return "\n".join([f"| {head[0]} | {head[1]} | {head[2]} |", "|---|---|---|", *rows])

    def sums(self, model: Model) -> str:
        """The sum that was asked for and a few more like it, some of them wrong."""
        n, m = self.turn.numbers
        lines = []
        for number in range(1 + self.dice.below(3)):
            first, second = n + number, m
            wrong = self.dice.chance(_share(0.25 - 0.1 * model.skill))
            self.traits.wrong_sums += wrong
            lines.append(f"{first} + {second} = {first + second + (1 + self.dice.below(9) if wrong else 0)}")
        return "\n".join(lines)

    def closing(self) -> str:
        """A polite last sentence."""
        emoji = f" {self.dice.pick(_EMOJI)}" if self.dice.chance(0.4) else ""
        return self.dice.pick(self.language.closings) + emoji
