"""The layouts of public sets of votes as one table: their columns, and how a vote is made of them.

`FORMATS` takes a format from each entry of `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from votecast.data.cells import CellError, json_kind, mend
from votecast.data.formats.answer_pairs import (
    TRANSCRIPT,
    Pair,
    Row,
    RowFormat,
    Shares,
    Talk,
    check_count,
    decode_cell,
    read_cell,
    read_number,
    read_text,
)
from votecast.data.formats.base import PLAIN, FormatOptions
from votecast.data.messages import join_talks, looks_like_transcript, turns_of
from votecast.types import NO_VOTE_NAMES, WINNER_NAMES, winner_key

Vote = tuple[str | None, Shares | None]
"""The winner, None without a vote, and a soft label where the vote has a strength."""

NO_VOTE: Vote = (None, None)


@dataclass(frozen=True)
class Ranked:
    """One of several answers to a prompt, and its rank: the lower, the better; None for an answer without one."""

    talk: Talk
    rank: float | None
    model: str | None = None


@dataclass(frozen=True)
class SetLayout:
    """One public set.

    Args:
        name: What `--format` calls it.
        needs: The columns by which it is found, in lower case.
        prompt: The columns of the prompt; texts are joined by an empty line.
        vote: How the vote follows from the columns, for people.
        answers: The columns of both answers.
        read_vote: Makes the vote of a row with two answers.
        read_ranked: Returns the prompts of a row with several answers, and the answers to each.
        labels: The columns of the vote.
        takes: Further columns that are read where they are.
        models: The columns of the models.
        ids: The columns that name a row.
        language: The column of the language.
        source: The column of the source.
    """

    name: str
    needs: tuple[str, ...]
    prompt: tuple[str, ...]
    vote: str
    answers: tuple[str, str] = ("", "")
    read_vote: Callable[[Row], Vote] | None = None
    read_ranked: Callable[[Row, set[str]], Iterator[tuple[Talk, list[Ranked]]]] | None = None
    labels: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    models: tuple[str, str] = ("model_a", "model_b")
    ids: tuple[str, ...] = ("id",)
    language: str = "language"
    source: str = "source"


class PublicSet(RowFormat):
    """A public set, as its layout says."""

    layout: ClassVar[SetLayout]

    def __init__(self, names: Sequence[str], head: Sequence[pa.Table], options: FormatOptions) -> None:
        super().__init__(names, head, options)
        self.always_ranked = self.layout.read_ranked is not None
        self.text = dict.fromkeys(self.text, PLAIN)  # known: nothing is guessed
        self.notes.append(f"votes: {self.layout.vote}")
        if self.always_ranked:
            self.notes.append(
                f"a pair for every two answers, put on sides a and b by a hash of their texts and the seed "
                f"{self.options.seed}"
            )

    def read_row(self, row: Row, repairs: set[str]) -> list[Pair]:
        """Return the pairs of one row."""
        if self.layout.read_ranked is not None:
            pairs: list[Pair] = []
            for prompt, answers in self.layout.read_ranked(row, repairs):
                pairs += self._rank(prompt, answers)
                check_count(len(pairs), self.needs[-1])
            return pairs
        prompt = self._read_prompt(row, repairs)
        talks = [join_talks(prompt, self._read(row, name, repairs, "assistant")) for name in self.layout.answers]
        if (turns := turns_of(talks[0], "user")) != turns_of(talks[1], "user"):
            raise CellError("the two answers follow different user turns; they must share them", self.layout.answers[1])
        assert self.layout.read_vote is not None
        winner, shares = self.layout.read_vote(row) if self.reads_labels else NO_VOTE
        models = [read_text(row.get(name)) for name in self.layout.models]
        first, second = (turns_of(talk, "assistant") for talk in talks)
        return [Pair(turns, first, second, winner, shares, *models)]

    def _read_prompt(self, row: Row, repairs: set[str]) -> Talk:
        talks = [self._read(row, name, repairs, "user") for name in self.layout.prompt if name in row]
        talks = [talk for talk in talks if any(text for _, text in talk)]
        if len(talks) > 1 and all(len(talk) == 1 for talk in talks):
            return [("user", "\n\n".join(str(text) for talk in talks for _, text in talk))]
        return [message for talk in talks for message in talk]

    def _read(self, row: Row, name: str, repairs: set[str], role: str) -> Talk:
        value = row.get(name)
        try:
            if isinstance(value, dict) and "full_text" in value:
                value = value["full_text"]
            if isinstance(value, str) and name in _CONVERSATIONS and value.lstrip()[:1] == "[":
                value = decode_cell(value, repairs)  # as CSV holds lists
            if value is None:
                raise CellError(f"the value is missing; every row needs a {name}", name)
            return read_cell(value, repairs, role=role, mode=PLAIN)
        except CellError as error:
            raise CellError(str(error), error.column or name) from None

    def _rank(self, prompt: Talk, answers: Sequence[Ranked]) -> list[Pair]:
        """Return a pair for every two answers with a rank and different texts; equal ranks are a tie."""
        ranked = [each for each in answers if each.rank is not None]
        check_count(len(ranked) * (len(ranked) - 1) // 2, self.needs[-1])
        pairs = []
        for place, one in enumerate(ranked):
            for other in ranked[place + 1 :]:
                talks = [join_talks(prompt, each.talk) for each in (one, other)]
                first, second = (turns_of(talk, "assistant") for talk in talks)
                if first == second:
                    continue
                winner = "tie" if one.rank == other.rank else "a" if (one.rank or 0) < (other.rank or 0) else "b"
                pair = Pair(turns_of(talks[0], "user"), first, second, winner, None, one.model, other.model)
                pairs.append(pair.on_sides(self.options.seed))
        return pairs


_CONVERSATIONS = ("context",)


def _soft(share: float) -> Vote:
    """Return the vote of which this share is for answer A, and the rest for B; one half is a tie."""
    if share in (0.0, 0.5, 1.0):
        return {1.0: "a", 0.0: "b", 0.5: "tie"}[share], None
    return ("a" if share > 0.5 else "b"), (share, 1 - share, 0.0)


def _strength(column: str, most: float) -> Callable[[Row], Vote]:
    """Read a preference from -most (A is much better) to most (B is much better); 0 is a tie."""

    def read_vote(row: Row) -> Vote:
        value = read_number(row, column)
        if value is None:
            return NO_VOTE
        if not -most <= value <= most:
            raise CellError(f"the preference is {value:g}; allowed are {-most:g} to {most:g}", column)
        return _soft(0.5 - value / (2 * most))

    return read_vote


def _coded(column: str, codes: dict[float, str]) -> Callable[[Row], Vote]:
    """Read a number that names the better answer."""

    def read_vote(row: Row) -> Vote:
        value = read_number(row, column)
        if value is None:
            return NO_VOTE
        if value not in codes:
            raise CellError(f"the label is {value:g}; allowed are {', '.join(f'{code:g}' for code in codes)}", column)
        return codes[value], None

    return read_vote


def _named(column: str) -> Callable[[Row], Vote]:
    """Read the name of the winner in any spelling."""

    def read_vote(row: Row) -> Vote:
        value = row.get(column)
        key = "" if value is None else winner_key(str(value))
        if key in NO_VOTE_NAMES:
            return NO_VOTE
        if key not in WINNER_NAMES:
            raise CellError("the label is unknown; allowed are A>B, A=B, B>A, model_a, model_b, tie", column)
        return WINNER_NAMES[key], None

    return read_vote


def _read_shp(row: Row) -> Vote:
    """Read a comment's lead in upvotes: the share of the better one is ratio / (1 + ratio)."""
    winner = _coded("labels", {1: "a", 0: "b"})(row)[0]
    ratio = read_number(row, "score_ratio")
    if winner is None or ratio is None or ratio <= 1:
        return winner, None
    share = ratio / (1 + ratio)
    return _soft(share if winner == "a" else 1 - share)


def _read_webgpt(row: Row) -> Vote:
    """Read scores from -1 to 1 that add up to 0: the share for A is (1 + score of A) / 2."""
    a, b = read_number(row, "score_0"), read_number(row, "score_1")
    if a is None or b is None:
        return NO_VOTE
    if not (-1 <= a <= 1 and -1 <= b <= 1):
        raise CellError(f"the scores are {a:g} and {b:g}; allowed are -1 to 1", "score_0")
    return _soft(0.5 + (a - b) / 4)


def _read_alpaca_eval(row: Row) -> Vote:
    """Read 1 (A is better) to 2 (B is better): its fraction is the probability of B; 0 and 1.5 are ties."""
    value = read_number(row, "preference")
    if value is None:
        return NO_VOTE
    if value == 0:
        return "tie", None
    if not 1 <= value <= 2:
        raise CellError(f"the preference is {value:g}; allowed are 0 and 1 to 2", "preference")
    return _soft(2 - value)


def _objects(row: Row, column: str, repairs: set[str]) -> list[dict[str, Any]]:
    """Return the objects in a column of answers."""
    value = row.get(column)
    value = decode_cell(value, repairs) if isinstance(value, str) else value
    if not isinstance(value, list):
        raise CellError(f"the value is {json_kind(value)}; allowed is a list of answers", column)
    for number, each in enumerate(value, start=1):
        if not isinstance(each, dict):
            raise CellError(f"answer {number} is {json_kind(each)}; allowed are objects", column)
    return value


def _text_of(value: object, column: str, repairs: set[str]) -> str:
    if not isinstance(value, str):
        raise CellError(f"a text is {json_kind(value)}; every answer needs one", column)
    return mend(value, repairs)


def _prompt_of(row: Row, column: str, repairs: set[str]) -> Talk:
    """Return a prompt that is a text, or a transcript that ends with an empty turn of the assistant."""
    text = _text_of(row.get(column), column, repairs)
    return read_cell(text, repairs, role="user", mode=TRANSCRIPT if looks_like_transcript(text) else PLAIN)


def _read_nectar(row: Row, repairs: set[str]) -> Iterator[tuple[Talk, list[Ranked]]]:
    answers = []
    for each in _objects(row, "answers", repairs):
        text = _text_of(each.get("answer"), "answers", repairs)
        answers.append(Ranked([("assistant", text)], read_number(each, "rank"), read_text(each.get("model"))))
    yield _prompt_of(row, "prompt", repairs), answers


def _read_ultrafeedback(row: Row, repairs: set[str]) -> Iterator[tuple[Talk, list[Ranked]]]:
    answers = []
    for each in _objects(row, "completions", repairs):
        text = _text_of(each.get("response"), "completions", repairs)
        scores = [read_number(each, name) for name in ("fine-grained_score", "overall_score")]
        score = next((score for score in scores if score is not None), None)
        rank = None if score is None else -score
        answers.append(Ranked([("assistant", text)], rank, read_text(each.get("model"))))
    yield _prompt_of(row, "instruction", repairs), answers


def _read_tree(row: Row, repairs: set[str]) -> Iterator[tuple[Talk, list[Ranked]]]:
    """Walk a tree of messages: the ranked replies of the assistant to each message of a user are compared."""
    root = row.get("prompt")
    root = decode_cell(root, repairs) if isinstance(root, str) else root
    if not isinstance(root, dict):
        raise CellError(f"the prompt is {json_kind(root)}; allowed is the first message of a tree", "prompt")
    waiting: list[tuple[Talk, dict[str, Any]]] = [([], root)]
    while waiting:
        before, message = waiting.pop(0)
        is_user = message.get("role") == "prompter"
        text = _text_of(message.get("text"), "prompt", repairs)
        talk: Talk = [*before, ("user" if is_user else "assistant", text)]
        replies = _objects({"prompt": message.get("replies") or []}, "prompt", repairs)
        waiting += [(talk, reply) for reply in replies]
        if is_user:
            kept = [each for each in replies if not each.get("deleted") and each.get("review_result") is not False]
            yield (
                talk,
                [
                    Ranked(
                        [*talk, ("assistant", _text_of(each.get("text"), "prompt", repairs))],
                        read_number(each, "rank"),
                        read_text(each.get("model_name")),
                    )
                    for each in kept
                    if each.get("role") == "assistant"
                ],
            )


LAYOUTS = (
    SetLayout(
        name="helpsteer3",
        needs=("context", "response1", "response2", "overall_preference"),
        prompt=("context",),
        answers=("response1", "response2"),
        labels=("overall_preference",),
        vote="overall_preference -3 to 3: 0 is a tie, else a soft label of 1/2 + |strength| / 6 for the better answer",
        read_vote=_strength("overall_preference", 3),
        source="domain",
    ),
    SetLayout(
        name="helpsteer2",
        needs=("prompt", "response_1", "response_2", "preference_strength"),
        prompt=("prompt",),
        answers=("response_1", "response_2"),
        labels=("preference_strength",),
        vote="preference_strength -3 to 3: 0 is a tie, else a soft label of 1/2 + |strength| / 6 for the better answer",
        read_vote=_strength("preference_strength", 3),
    ),
    SetLayout(
        name="ppe",
        needs=("prompt", "response_1", "response_2", "winner"),
        prompt=("prompt",),
        answers=("response_1", "response_2"),
        labels=("winner",),
        vote="winner: model_a (response_1), model_b, tie or tie (bothbad)",
        read_vote=_named("winner"),
        ids=("question_id",),
    ),
    SetLayout(
        name="shp",
        needs=("history", "human_ref_a", "human_ref_b", "labels"),
        prompt=("history",),
        answers=("human_ref_a", "human_ref_b"),
        labels=("labels",),
        vote="labels: 1 is A; a soft label of ratio / (1 + ratio) for the better answer, where score_ratio is given",
        read_vote=_read_shp,
        takes=("score_ratio",),
        ids=("post_id", "c_root_id_a", "c_root_id_b"),
        source="domain",
    ),
    SetLayout(
        name="pku_saferlhf",
        needs=("prompt", "response_0", "response_1", "better_response_id"),
        prompt=("prompt",),
        answers=("response_0", "response_1"),
        labels=("better_response_id",),
        vote="better_response_id: 0 is A, 1 is B; safer_response_id is not used",
        read_vote=_coded("better_response_id", {0: "a", 1: "b"}),
        models=("response_0_source", "response_1_source"),
        source="prompt_source",
    ),
    SetLayout(
        name="webgpt",
        needs=("question", "answer_0", "answer_1", "score_0", "score_1"),
        prompt=("question",),
        answers=("answer_0", "answer_1"),
        labels=("score_0", "score_1"),
        vote="score_0 and score_1 from -1 to 1: 0 is a tie, else a soft label of (1 + score) / 2",
        read_vote=_read_webgpt,
    ),
    SetLayout(
        name="judgebench",
        needs=("question", "response_a", "response_b", "label"),
        prompt=("question",),
        answers=("response_a", "response_b"),
        labels=("label",),
        vote="label: A>B, B>A or A=B",
        read_vote=_named("label"),
        ids=("pair_id",),
    ),
    SetLayout(
        name="alpaca_eval",
        needs=("instruction", "output_1", "output_2", "preference"),
        prompt=("instruction", "input"),
        answers=("output_1", "output_2"),
        labels=("preference",),
        vote="preference 1 (A) to 2 (B): its fraction is a soft label for B; 0 and 1.5 are ties, null is no vote",
        read_vote=_read_alpaca_eval,
        models=("generator_1", "generator_2"),
        source="dataset",
    ),
    SetLayout(
        name="llmbar",
        needs=("input", "output_1", "output_2", "label"),
        prompt=("input",),
        answers=("output_1", "output_2"),
        labels=("label",),
        vote="label: 1 is A, 2 is B",
        read_vote=_coded("label", {1: "a", 2: "b"}),
    ),
    SetLayout(
        name="nectar",
        needs=("prompt", "answers"),
        prompt=("prompt",),
        vote="rank of each answer: the lower is better, equal ranks are a tie; answers without a rank are not compared",
        read_ranked=_read_nectar,
    ),
    SetLayout(
        name="ultrafeedback",
        needs=("instruction", "completions"),
        prompt=("instruction",),
        vote="fine-grained_score, else overall_score of each completion: the higher is better, equal scores are a tie",
        read_ranked=_read_ultrafeedback,
    ),
    SetLayout(
        name="oasst",
        needs=("message_tree_id", "prompt"),
        prompt=("prompt",),
        vote="rank of the assistant's replies to one message: the lower is better; replies without a rank, deleted or "
        "rejected in review are not compared",
        read_ranked=_read_tree,
        ids=("message_tree_id",),
    ),
)
"""The public sets."""


def _format_of(layout: SetLayout) -> type[PublicSet]:
    """Return the format of a layout."""
    is_ranked = layout.read_ranked is not None
    answers = () if is_ranked else layout.answers
    further = (*layout.prompt, *layout.takes, *layout.models, *layout.ids, layout.language, layout.source)
    attributes = {
        "__doc__": f"Votes of {layout.name}: {layout.vote}.",
        "__module__": __name__,
        "layout": layout,
        "name": layout.name,
        "needs": layout.needs,
        "takes": tuple(dict.fromkeys(further)),
        "label_columns": layout.labels,
        "text_columns": (*layout.prompt, *answers),
        "always_voted": is_ranked,
        "ids_of": layout.ids,
        "language_of": layout.language,
        "source_of": (layout.source,),
        "makes_none": "no two answers with a rank and different texts",
    }
    return type(layout.name, (PublicSet,), attributes)


PUBLIC_SETS: tuple[type[PublicSet], ...] = tuple(map(_format_of, LAYOUTS))
"""The formats of the public sets."""
