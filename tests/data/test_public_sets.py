"""Test the layouts of public sets: what is the prompt, who wins, what is left out, and files that hold no pairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from votecast.data import read_votes
from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.errors import ConfigError, DataError

Vote = tuple[str | None, tuple[float, float, float] | None]


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def votes_of(battles: Battles) -> list[Vote]:
    shares = [each and tuple(each) for each in battles.column("probabilities").to_pylist()]
    return list(zip(battles.column("winner").to_pylist(), shares, strict=True))


HELPSTEER = {"context": [user("Why?")], "response1": "So.", "response2": "No.", "language": "english", "domain": "code"}
SHP = {"post_id": "p", "history": "Why?", "human_ref_A": "So.", "human_ref_B": "No.", "c_root_id_A": "x"}
PAIR = {"prompt": "Why?", "response_1": "So.", "response_2": "No."}
WEBGPT = {"question": {"dataset": "d", "id": "i", "full_text": "Why?"}, "answer_0": "So.", "answer_1": "No."}
EVAL = {"instruction": "Why?", "output_1": "So.", "output_2": "No.", "generator_1": "m1", "generator_2": "m2"}
PKU = {"prompt": "Why?", "response_0": "So.", "response_1": "No."}


@pytest.mark.parametrize(
    ("name", "row", "labels"),
    [
        (
            "helpsteer3",
            HELPSTEER,
            [
                ({"overall_preference": -3}, ("a", None)),
                ({"overall_preference": 0}, ("tie", None)),
                ({"overall_preference": 2}, ("b", (1 / 6, 5 / 6, 0))),
                ({"overall_preference": None}, (None, None)),
            ],
        ),
        ("helpsteer2", PAIR, [({"preference_strength": 3}, ("b", None)), ({"preference_strength": 0}, ("tie", None))]),
        (
            "ppe",
            PAIR,
            [({"winner": "model_b"}, ("b", None)), ({"winner": "tie (bothbad)"}, ("tie", None))],
        ),
        (
            "shp",
            SHP,
            [
                ({"labels": 0, "score_ratio": 4.0, "c_root_id_B": "y"}, ("b", (0.2, 0.8, 0))),
                ({"labels": 1, "score_ratio": 1.0, "c_root_id_B": "z"}, ("a", None)),
            ],
        ),
        ("pku_saferlhf", PKU, [({"better_response_id": 0}, ("a", None)), ({"better_response_id": 1}, ("b", None))]),
        (
            "webgpt",
            WEBGPT,
            [
                ({"score_0": -0.5, "score_1": 0.5}, ("b", (0.25, 0.75, 0))),
                ({"score_0": 0.0, "score_1": -0.0}, ("tie", None)),
                ({"score_0": 1, "score_1": -1}, ("a", None)),
            ],
        ),
        (
            "judgebench",
            {"question": "Why?", "response_A": "So.", "response_B": "No."},
            [({"pair_id": "1", "label": "B>A"}, ("b", None)), ({"pair_id": "2", "label": "A=B"}, ("tie", None))],
        ),
        (
            "alpaca_eval",
            EVAL,
            [
                ({"preference": 1.0}, ("a", None)),
                ({"preference": 1.5}, ("tie", None)),
                ({"preference": 0}, ("tie", None)),
                ({"preference": 1.75}, ("b", (0.25, 0.75, 0))),
                ({"preference": None}, (None, None)),
            ],
        ),
        (
            "llmbar",
            {"input": "Why?", "output_1": "So.", "output_2": "No."},
            [({"label": 1}, ("a", None)), ({"label": 2}, ("b", None))],
        ),
    ],
)
def test_pairs_of_public_sets(
    tmp_path: Path, name: str, row: dict[str, Any], labels: list[tuple[dict[str, Any], Vote]]
) -> None:
    rows = [row | label for label, _ in labels]
    for path in (lines(tmp_path / "votes.jsonl", *rows), tmp_path / "votes.parquet"):
        if path.suffix == ".parquet":
            pd.DataFrame(rows).to_parquet(path)
        battles = read_votes(path)
        assert battles.report is not None and battles.report.format == name
        assert battles[0].prompt == ("Why?",)
        assert (battles[0].response_a, battles[0].response_b) == (("So.",), ("No.",))
        for found, (_, expected) in zip(votes_of(battles), labels, strict=True):
            assert found[0] == expected[0]
            assert found[1] == (expected[1] and pytest.approx(expected[1]))
    assert as_battles(pd.DataFrame(rows)).column("winner").to_pylist() == battles.column("winner").to_pylist()
    assert not read_votes(path, labels="ignored").labelled.any()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            HELPSTEER | {"overall_preference": 4},
            "column 'overall_preference': the preference is 4; allowed are -3 to 3",
        ),
        (PKU | {"better_response_id": -1}, "column 'better_response_id': the label is -1; allowed are 0, 1"),
        (EVAL | {"preference": 3}, "column 'preference': the preference is 3; allowed are 0 and 1 to 2"),
        (EVAL | {"preference": "good"}, "column 'preference': the value is not a number"),
        (PAIR | {"winner": "first"}, "column 'winner': the label is unknown"),
        (EVAL | {"output_2": 3, "preference": 1}, "column 'output_2': the value is a number"),
    ],
)
def test_values_that_a_set_does_not_have_are_bad_rows(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_votes(lines(tmp_path / "votes.jsonl", row))


def winners_by_text(battles: Battles) -> list[tuple[str, str, str]]:
    """Return prompt, better and worse answer of each battle; of a tie both answers in their order."""
    found = []
    for battle in battles:
        a, b = battle.response_a[-1] or "", battle.response_b[-1] or ""
        first, second = (b, a) if battle.winner == "b" else (a, b)
        found.append(
            (battle.prompt[-1] or "", *(sorted((first, second)) if battle.winner == "tie" else (first, second)))
        )
    return found


def test_rankings_make_a_pair_of_every_two_answers(tmp_path: Path) -> None:
    answers = [{"answer": text, "rank": rank, "model": text} for text, rank in (("one", 1), ("two", 2), ("also", 2))]
    row = {"prompt": "\n\nHuman: Name one.\n\nAssistant: ", "answers": [*answers, {"answer": "none", "rank": None}]}
    battles = read_votes(lines(tmp_path / "nectar.jsonl", row, row | {"answers": answers[:1]}))
    pairs = [("Name one.", "one", "two"), ("Name one.", "one", "also"), ("Name one.", "also", "two")]
    assert winners_by_text(battles) == pairs
    assert battles.column("winner").to_pylist().count("tie") == 1
    assert battles.ids == ["0-0", "0-1", "0-2"]
    assert battles.report is not None
    assert battles.report.left_out == {"no two answers with a rank and different texts": 1}
    completions = [{"response": text, "overall_score": score} for text, score in (("bad", 2), ("good", 9.5))]
    battles = read_votes(lines(tmp_path / "feedback.jsonl", {"instruction": "Why?", "completions": completions}))
    assert winners_by_text(battles) == [("Why?", "good", "bad")]
    with pytest.raises(DataError, match=r"makes 1,225 pairs of answers; allowed are 1,000"):
        many = [{"answer": str(n), "rank": n} for n in range(50)]
        read_votes(lines(tmp_path / "many.jsonl", {"prompt": "Why?", "answers": many}))
    with pytest.raises(DataError, match="rows that make several battles or none"):
        as_battles(pd.DataFrame([{"prompt": "Why?", "answers": answers}]))


def test_trees_of_messages_compare_ranked_replies_at_every_depth(tmp_path: Path) -> None:
    def node(text: str, role: str, rank: int | None = None, *replies: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"text": text, "role": role, "rank": rank, "replies": list(replies), **more}

    deeper = node("And?", "prompter", None, node("Yes.", "assistant", 1), node("Yes!", "assistant", 0))
    tree = node(
        *("Why?", "prompter", None),
        *(node("So.", "assistant", 0, deeper), node("No.", "assistant", 1), node("Hm.", "assistant")),
        node("Bad.", "assistant", 2, deleted=True),
    )
    row = {"message_tree_id": "t", "tree_state": "ready", "prompt": tree}
    battles = read_votes(lines(tmp_path / "trees.jsonl", row))
    assert winners_by_text(battles) == [("Why?", "So.", "No."), ("And?", "Yes!", "Yes.")]
    assert battles[1].prompt == ("Why?", "And?")
    with pytest.raises(DataError, match="its rows are single messages of conversation trees"):
        message = {"message_id": "m", "parent_id": None, "text": "Why?", "role": "prompter"}
        read_votes(lines(tmp_path / "flat.jsonl", message))


TALK = [user("Hi"), assistant("Hello!"), user("Why?")]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": ["Why?"], "chosen": "So.", "rejected": "No."}, ["Why?"]),
        ({"question": "Why?", "system": "Be kind.", "chosen": "So.", "rejected": "No."}, ["Why?"]),
        ({"instruction": "Why?", "input": "", "chosen": "So.", "rejected": "No."}, ["Why?"]),
        ({"instruction": "Say", "input": "why", "chosen": "So.", "rejected": "No."}, ["Say\n\nwhy"]),
        ({"input": "Why?", "system": "", "chosen": "So.", "rejected": "No."}, ["Why?"]),
        ({"instruction": "Why?", "history": [["Hi", "Hello!"]], "chosen": "So.", "rejected": "No."}, ["Hi", "Why?"]),
        (
            {
                "conversations": [{"from": "human", "value": "Why?"}],
                "chosen": {"from": "gpt", "value": "So."},
                "rejected": {"from": "gpt", "value": "No."},
            },
            ["Why?"],
        ),
        ({"prompt": TALK, "chosen": [assistant("So.")], "rejected": [assistant("No.")]}, ["Hi", "Why?"]),
        *(
            (
                {"prompt": prompt, "chosen": [*TALK, assistant("So.")], "rejected": [*TALK, assistant("No.")]},
                ["Hi", "Why?"],
            )
            for prompt in ("Hi", " Why? ", "Why?\n", TALK, TALK[-1:])
        ),
    ],
)
def test_the_prompt_of_pairs(tmp_path: Path, row: dict[str, Any], prompt: list[str]) -> None:
    battles = read_votes(lines(tmp_path / "pairs.jsonl", row))
    assert battles.column("prompt").to_pylist() == [prompt]
    assert winners_by_text(battles) == [(prompt[-1], "So.", "No.")]


def test_prompts_that_are_not_read_are_refused_by_name(tmp_path: Path) -> None:
    row = {"prompt": "Why?", "context": "A cell.", "chosen": "So.", "rejected": "No."}
    path = lines(tmp_path / "pairs.jsonl", row)
    with pytest.raises(DataError, match=r"the columns context seem to belong to the prompt.*--columns prompt=context"):
        read_votes(path)
    assert read_votes(path, columns={"prompt": "context"})[0].prompt == ("A cell.",)
    other = row | {"prompt": "How?", "chosen": [user("Why?"), assistant("So.")]}
    del other["context"]
    with pytest.raises(DataError, match="the prompt is not among the user's turns"):
        read_votes(lines(tmp_path / "other.jsonl", other))


def test_several_answers_make_a_pair_each_and_turns_stay_turns(tmp_path: Path) -> None:
    row = {"id": "7", "prompt": "Why?", "chosen": ["So."], "rejected": ["No.", "Hm.", "So."]}
    battles = read_votes(lines(tmp_path / "votes.jsonl", row))
    assert winners_by_text(battles) == [("Why?", "So.", "No."), ("Why?", "So.", "Hm.")]
    assert battles.ids == ["7-0", "7-1"]
    turns = {"prompt": ["Hi", "Why?"], "chosen": ["Hello!", "So."], "rejected": ["Hello!", "No."]}
    battles = read_votes(lines(tmp_path / "turns.jsonl", turns))
    assert {battles[0].response_a, battles[0].response_b} == {("Hello!", "So."), ("Hello!", "No.")}
    with pytest.raises(DataError, match="the list holds 3 texts and the prompt 2 turns"):
        read_votes(lines(tmp_path / "unclear.jsonl", turns | {"rejected": ["x", "y", "z"]}))


@pytest.mark.parametrize(
    "ratings",
    [
        {"score_chosen": 7.0, "score_rejected": 7.0},
        {"chosen-rating": 4, "rejected-rating": 4},
        {"chosen_avg_rating": "5.0", "rejected_avg_rating": "5"},
        {"status": "tie"},
    ],
)
def test_equal_ratings_are_a_tie(tmp_path: Path, ratings: dict[str, Any]) -> None:
    row = {"prompt": "Why?", "chosen": "So.", "rejected": "No.", "chosen-model": "m1", "rejected-model": "m2"}
    battles = read_votes(lines(tmp_path / "votes.jsonl", row | ratings))
    assert battles[0].winner == "tie"
    assert {battles[0].model_a, battles[0].model_b} == {"m1", "m2"}


def test_the_same_text_chosen_and_rejected_is_no_vote(tmp_path: Path) -> None:
    row = {"prompt": "Name a tree.", "chosen": "Pine", "rejected": "Pine"}
    path = lines(tmp_path / "votes.jsonl", row, row | {"rejected": "Fir"})
    battles = read_votes(path)
    assert battles.labelled.tolist() == [False, True]
    assert battles.report is not None
    assert battles.report.ignored_votes == {"chosen and rejected are the same text": 1}
    with pytest.raises(DataError, match="row 1, column 'chosen, rejected': the row has no vote: chosen and rejected"):
        read_votes(path, labels="required")


def test_columns_and_labels_are_named_and_proposed(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("question,text_left,text_right,preferred\nWhy?,So.,No.,2\nWho?,I.,You.,0\nHow?,So.,No.,1\n")
    columns = "prompt=question,response_a=text_left,response_b=text_right,winner=preferred"
    with pytest.raises(DataError, match=f'--columns {columns} --labels "0=tie,1=a,2=b"'):
        read_votes(path)
    options: dict[str, Any] = {"columns": dict(each.split("=") for each in columns.split(","))}
    battles = read_votes(path, **options, label_names={"1": "b", "2": "a", "0": "both_bad"}, both_bad=True)
    assert battles.column("winner").to_pylist() == ["a", "tie", "b"]
    assert battles.column("both_bad").to_pylist() == [False, True, False]
    assert battles[0].prompt == ("Why?",)
    assert read_votes(path, **options, label_names={"1": "b", "2": "a", "0": "none"}).labelled.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="row 2, column 'preferred': the label is unknown"):
        read_votes(path, **options, label_names={"1": "b", "2": "a"})
    unvoted = tmp_path / "unvoted.csv"
    unvoted.write_text("question,text_left,text_right\nWhy?,So.,No.\n")
    assert len(read_votes(unvoted, **options, label_names={"1": "a"}, labels="ignored")) == 1
    with pytest.raises(DataError, match="has no column asked to read; it has question"):
        read_votes(path, columns={"prompt": "asked"})
    with pytest.raises(ConfigError, match="labels makes '1' 'left'; allowed are a, b, tie, both_bad and none"):
        read_votes(path, label_names={"1": "left"})


def test_pandas_orientations_are_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"prompt": ["Why?"], "response_a": ["So."], "response_b": ["No."], "winner": ["a"]})
    path = tmp_path / "votes.json"
    for orient in ("columns", "index", "split", "table"):
        frame.to_json(path, orient=orient)
        with pytest.raises(DataError, match=f"as pandas writes with orient='{orient}'; write one object a row"):
            read_votes(path)
    frame.to_json(path, orient="records")
    assert read_votes(path)[0].winner == "a"
    with pytest.raises(ConfigError, match="columns names answer; allowed are prompt"):
        read_votes(path, columns={"answer": "prompt"})
