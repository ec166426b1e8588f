"""Test each vote format on small files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from votecast.data import Battles, ReadReport, VoteReader, iter_votes, read_votes
from votecast.data.battles import SCHEMA
from votecast.data.cells import LONE_SURROGATE
from votecast.errors import ConfigError, DataError

LMSYS = ["id", "model_a", "model_b", "prompt", "response_a", "response_b"]
ONE_HOT = ["winner_model_a", "winner_model_b", "winner_tie"]


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lmsys_rows(count: int) -> list[list[Any]]:
    return [
        [
            i,
            "m1",
            "m2",
            json.dumps([f"p{i}", None]),
            json.dumps([f"a{i}"]),
            "[]",
            int(i % 3 == 0),
            int(i % 3 == 1),
            int(i % 3 == 2),
        ]
        for i in range(count)
    ]


def turns(user: str, assistant: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def test_the_kaggle_training_file(tmp_path: Path) -> None:
    rows = lmsys_rows(5)
    rows[1][4] = r'["\ud83d\ude00 a\/b \ud83d"]'
    battles = read_votes(write_csv(tmp_path / "train.csv", LMSYS + ONE_HOT, rows))
    assert battles.table.schema.equals(SCHEMA)
    assert battles.column("winner").to_pylist() == ["a", "b", "tie", "a", "b"]
    assert battles[1].model_dump() == {
        "id": "1",
        "prompt": ("p1", None),
        "response_a": ("😀 a/b \ufffd",),
        "response_b": (),
        "winner": "b",
        "probabilities": None,
        "model_a": "m1",
        "model_b": "m2",
        "weight": 1.0,
        "language": None,
        "source": None,
    }
    report = battles.report
    assert isinstance(report, ReadReport)
    assert (report.format, report.container, report.rows, report.labelled) == ("lmsys", "csv", 5, 5)
    assert report.text == {"prompt": "json", "response_a": "json", "response_b": "json"}
    assert (report.repairs, report.examples) == ({LONE_SURROGATE: 1}, {LONE_SURROGATE: [2]})
    assert json.loads(json.dumps(report.to_dict()))["rows"] == 5


def test_the_kaggle_test_file_has_no_votes(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "test.csv", ["id", "prompt", "response_a", "response_b"], [["7", '["p"]', '["a"]', '["b"]']]
    )
    battles = read_votes(path, labels="ignored")
    assert (battles[0].id, battles[0].winner, battles.report.format) == ("7", None, "lmsys")
    with pytest.raises(DataError, match=r"holds no votes.*winner_model_a"):
        read_votes(path, labels="required")


def test_wsdm_parquet_is_plain_text(tmp_path: Path) -> None:
    table = {
        "id": ["x", "y", "z"],
        "prompt": ["[1] Was?", "?", "!"],
        "response_a": ["", "a", "a"],
        "response_b": ['["b"]', "b", "b"],
        "winner": ["model_b", "model_a", "model_a"],
        "language": ["German", "English", "English"],
        "scored": [True, False, True],
    }
    pq.write_table(pa.table(table), tmp_path / "train.parquet")
    battles = read_votes(tmp_path / "train.parquet")
    assert battles[0].prompt == ("[1] Was?",)
    assert (battles[0].response_a, battles[0].response_b) == (("",), ('["b"]',))
    assert battles.column("winner").to_pylist() == ["b", "a", "a"]
    assert battles[0].language == "German"
    assert (battles.report.format, battles.report.text["prompt"], battles.report.ignored) == (
        "wsdm",
        "plain",
        ["scored"],
    )


def as_messages(talk: list[dict[str, str]]) -> Any:
    return talk


def as_parts(talk: list[dict[str, str]]) -> Any:
    return [{"role": m["role"], "content": [{"type": "text", "text": m["content"]}]} for m in talk]


@pytest.mark.parametrize("shape", [as_messages, as_parts, json.dumps])
@pytest.mark.parametrize("container", ["jsonl", "parquet"])
def test_arena_conversations(tmp_path: Path, shape: Callable[[Any], Any], container: str) -> None:
    winners = ["model_a", "model_b", "tie", "tie (bothbad)", "both_bad"]
    rows = [
        {
            "question_id": f"q{i}",
            "model_a": "m",
            "model_b": "n",
            "winner": winner,
            "language": "English",
            "turn": 2,
            "conversation_a": shape(turns("one", "1a") + turns("two", "2a")),
            "conversation_b": shape(turns("one", "1b") + turns("two", "2b")),
        }
        for i, winner in enumerate(winners)
    ]
    path = tmp_path / f"arena.{container}"
    pq.write_table(pa.Table.from_pylist(rows), path) if container == "parquet" else write_jsonl(path, rows)
    battles = read_votes(path)
    assert battles.column("winner").to_pylist() == ["a", "b", "tie", "tie", "tie"]
    first = battles[0]
    assert (first.id, first.prompt, first.response_a, first.response_b) == (
        "q0",
        ("one", "two"),
        ("1a", "2a"),
        ("1b", "2b"),
    )
    assert (battles.report.format, battles.report.ignored) == ("arena", ["turn"])


def test_arena_conversations_must_share_their_user_turns(tmp_path: Path) -> None:
    row = {"winner": "tie", "conversation_a": turns("one", "x"), "conversation_b": turns("two", "y"), "language": "en"}
    with pytest.raises(DataError, match=r"row 1, column 'conversation_a, conversation_b'.*different user turns"):
        read_votes(write_jsonl(tmp_path / "arena.jsonl", [row]))


def test_mtbench_judgements_are_read_up_to_the_judged_turn(tmp_path: Path) -> None:
    talk = turns("one", "1") + turns("two", "2")
    rows = [
        {
            "question_id": 81,
            "model_a": "m",
            "model_b": "n",
            "winner": "model_b",
            "judge": "expert_1",
            "turn": turn,
            "conversation_a": talk,
            "conversation_b": talk,
        }
        for turn in (1, 2, 2)
    ]
    battles = read_votes(write_jsonl(tmp_path / "human.jsonl", rows))
    assert [battle.prompt for battle in battles] == [("one",), ("one", "two"), ("one", "two")]
    assert battles.ids == ["81-m-n-expert_1-1-1", "81-m-n-expert_1-2-2", "81-m-n-expert_1-2-3"]
    assert (battles.report.format, battles[0].source) == ("mtbench", "mtbench")


def chosen_texts(battles: Battles) -> list[Any]:
    return [battle.response_a if battle.winner == "a" else battle.response_b for battle in battles]


def test_pairs_with_a_prompt_land_on_both_sides(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"p{i}", "chosen": f"good {i}", "rejected": f"bad {i}", "chosen_model": "g", "rejected_model": "b"}
        for i in range(200)
    ]
    battles = read_votes(write_jsonl(tmp_path / "pairs.jsonl", rows), keep=["chosen"])
    assert chosen_texts(battles) == [(row["chosen"],) for row in rows]
    assert [b.model_a if b.winner == "a" else b.model_b for b in battles] == ["g"] * 200
    assert 70 < battles.column("winner").to_pylist().count("a") < 130
    assert battles.column("chosen").to_pylist() == [row["chosen"] for row in rows]
    backwards = read_votes(write_jsonl(tmp_path / "backwards.jsonl", rows[::-1]))
    assert backwards.column("winner").to_pylist() == battles.column("winner").to_pylist()[::-1]
    other = read_votes(tmp_path / "pairs.jsonl", seed=1)
    assert other.column("winner").to_pylist() != battles.column("winner").to_pylist()


def test_a_pair_voted_on_twice_stands_on_the_same_sides(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "chosen": one, "rejected": two} for one, two in (("x", "y"), ("y", "x"))]
    first, second = read_votes(write_jsonl(tmp_path / "pairs.jsonl", rows))
    assert first.response_a == second.response_a
    assert {first.winner, second.winner} == {"a", "b"}


@pytest.mark.parametrize(
    "row",
    [
        {
            "prompt": [{"role": "user", "content": "Hi"}],
            "chosen": [{"role": "assistant", "content": "good"}],
            "rejected": [{"role": "assistant", "content": "bad"}],
        },
        {"prompt": "Hi", "chosen": turns("Hi", "good"), "rejected": turns("Hi", "bad")},
        {"chosen": turns("Hi", "good"), "rejected": turns("Hi", "bad")},
        {"chosen": json.dumps(turns("Hi", "good")), "rejected": json.dumps(turns("Hi", "bad"))},
        {"chosen": "\n\nHuman: Hi\n\nAssistant: good", "rejected": "\n\nHuman: Hi\n\nAssistant: bad"},
        {"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": "good", "rejected": "bad"},
        {"prompt": ["Hi"], "chosen": ["good"], "rejected": ["bad"]},
    ],
)
def test_pairs_of_every_shape(tmp_path: Path, row: dict[str, Any]) -> None:
    battles = read_votes(write_jsonl(tmp_path / "pairs.jsonl", [row]))
    assert (battles[0].prompt, chosen_texts(battles)) == (("Hi",), [("good",)])
    assert battles.report.format == "pairs"


def test_pairs_share_their_history(tmp_path: Path) -> None:
    row = {"chosen": turns("1", "one") + turns("2", "good"), "rejected": turns("1", "one") + turns("2", "bad")}
    battles = read_votes(write_jsonl(tmp_path / "pairs.jsonl", [row]))
    assert (battles[0].prompt, chosen_texts(battles)) == (("1", "2"), [("one", "good")])
    row["rejected"] = turns("1", "uno") + turns("3", "bad")
    with pytest.raises(DataError, match="follows other user turns"):
        read_votes(write_jsonl(tmp_path / "pairs.jsonl", [row]))


def test_plain_pairs_without_a_prompt_have_empty_prompts(tmp_path: Path) -> None:
    battles = read_votes(write_csv(tmp_path / "pairs.csv", ["chosen", "rejected"], [["I do", "I dare"]]))
    assert battles[0].prompt == ()
    assert any("the prompts are empty" in note for note in battles.report.notes)


def test_rewardbench(tmp_path: Path) -> None:
    row = {
        "prompt": "p",
        "chosen": "good",
        "chosen_model": "g",
        "rejected": "bad",
        "rejected_model": "b",
        "subset": "chat",
        "id": 3,
    }
    battles = read_votes(write_jsonl(tmp_path / "filtered.jsonl", [row, row | {"subset": "code"}]))
    assert (battles.report.format, battles.ids) == ("rewardbench", ["chat-3", "code-3"])
    assert battles.column("source").to_pylist() == ["chat", "code"]


OWN = {
    "id": "r1",
    "source": "s",
    "prompt": ["p", None],
    "response_a": ["a"],
    "response_b": [],
    "winner": "tie",
    "language": "de",
}


TEXT = {"prompt": ["p"], "response_a": ["a"], "response_b": ["b"]}


def test_votecasts_own_rows(tmp_path: Path) -> None:
    rows = [
        OWN,
        TEXT | {"probabilities": [0.5, 0.25, 0.25], "weight": 2.5, "id": 7},
        TEXT | {"probabilities": {"tie": 1, "a": 0, "b": 0}, "id": 8},
        {"prompt": "one turn", "response_a": "a", "response_b": "b", "id": 9},
    ]
    battles = read_votes(write_jsonl(tmp_path / "own.jsonl", rows))
    assert (
        battles[0].model_dump() | OWN
        == battles[0].model_dump() | {k: tuple(v) if isinstance(v, list) else v for k, v in OWN.items()} | OWN
    )
    assert battles[1].probabilities == (0.5, 0.25, 0.25)
    assert battles[2].probabilities == (0.0, 0.0, 1.0)
    assert battles.weights().tolist() == [1.0, 2.5, 1.0, 1.0]
    assert (battles[3].prompt, battles[3].winner, battles.report.labelled) == (("one turn",), None, 3)
    with pytest.raises(DataError, match="row 4, column 'winner': the row has no vote"):
        read_votes(tmp_path / "own.jsonl", labels="required")
    assert read_votes(tmp_path / "own.jsonl", labels="ignored").report.labelled == 0


def test_soft_labels_in_csv(tmp_path: Path) -> None:
    rows = [['["p"]', '["a"]', '["b"]', "[0.2, 0.3, 0.5]"], ['["p"]', '["a"]', '["b"]', '{"a": 1, "b": 0, "tie": 0}']]
    battles = read_votes(
        write_csv(tmp_path / "soft.csv", ["prompt", "response_a", "response_b", "probabilities"], rows)
    )
    np.testing.assert_allclose(battles.targets(), [[0.2, 0.3, 0.5], [1, 0, 0]])
    assert battles.ids == ["0", "1"]


def test_text_mode_is_decided_by_the_first_rows_and_can_be_overridden(tmp_path: Path) -> None:
    header = ["prompt", "response_a", "response_b"]
    path = write_csv(tmp_path / "x.csv", header, [["p", '["a"]', "b"]] * 3 + [["[1]", "not json", "b"]])
    with pytest.raises(DataError, match=r"row 4, column 'response_a': the cell is not JSON.*given is 'not json'"):
        read_votes(path)
    battles = read_votes(path, text="plain")
    assert battles[0].response_a == ('["a"]',)
    assert set(battles.report.text.values()) == {"plain"}
    with pytest.raises(DataError, match="row 1, column 'prompt': the cell is not JSON"):
        read_votes(path, text="json")


def test_limit_sample_and_keep(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "x.csv", [*LMSYS, *ONE_HOT, "rater"], [[*row, f"r{i}"] for i, row in enumerate(lmsys_rows(300))]
    )
    assert read_votes(path, limit=7).ids == [str(i) for i in range(7)]
    sample = read_votes(path, sample=0.1, keep=["rater"])
    assert len(sample) == 30
    assert [int(i) for i in sample.ids] == sorted(int(i) for i in sample.ids)
    assert np.unique(sample.column("winner").to_numpy(), return_counts=True)[1].tolist() == [10, 10, 10]
    assert sample.column("rater").to_pylist() == [f"r{i}" for i in sample.ids]
    assert sample.report.sampling == "sample 0.1, stratified by label, in file order, seed 0"
    assert read_votes(path, sample=0.1, limit=5).ids == sample.ids[:5]
    with pytest.raises(DataError, match="no column who to keep"):
        read_votes(path, keep=["who"])


def test_sampling_strata_of_soft_labels(tmp_path: Path) -> None:
    soft = [[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], None]
    rows = [OWN | {"id": i, "winner": None, "probabilities": soft[i % 4]} for i in range(40)]
    battles = read_votes(write_jsonl(tmp_path / "soft.jsonl", rows), sample=0.5)
    assert np.bincount([int(i) % 4 for i in battles.ids]).tolist() == [5, 5, 5, 5]


def test_parts_compression_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(tmp_path / "x.csv", LMSYS + ONE_HOT, lmsys_rows(20))
    whole = read_votes(path)
    assert sum(len(part) for part in iter_votes(path)) == 20
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    packed = read_votes(tmp_path / "x.csv.gz")
    assert (packed.table.equals(whole.table), packed.report.container) == (True, "csv+gzip")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert read_votes("-").table.equals(whole.table)


def test_reading_again_reads_the_file_again(tmp_path: Path) -> None:
    reader = VoteReader(write_csv(tmp_path / "x.csv", LMSYS + ONE_HOT, lmsys_rows(20)))
    assert [len(list(reader)), reader.report.rows] == [1, 20]
    assert [len(list(reader)), reader.report.rows] == [1, 20]


@pytest.mark.parametrize(
    "options",
    [{"format": "kaggle"}, {"text": "xml"}, {"bad_rows": "drop"}, {"labels": "some"}, {"limit": 0}, {"sample": 2.0}],
)
def test_invalid_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="allowed"):
        VoteReader("x.csv", **options)


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        (["x", "y"], {}, "no format fits its columns .*; it has x, y, and votecast reads prompt"),
        (["prompt", "response_a", "response_b"], {"format": "arena"}, "conversation_a, conversation_b are missing"),
        (["prompt", "response_a", "response_b", "winner_model_a"], {}, "winner_model_b, winner_tie are missing"),
    ],
)
def test_columns_of_no_format(tmp_path: Path, header: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_votes(write_csv(tmp_path / "x.csv", header, [["1"] * len(header)]), **options)


def test_outside_votes_are_read(outside_votes: Path) -> None:
    found = {path.name: read_votes(path, labels="required").report for path in sorted(outside_votes.glob("*.[cj]s*"))}
    assert found["lmsys_mini32.csv"].format == "lmsys"
    assert found["votes_train.jsonl.gz"].rows == 22_978
    assert not any(report.repairs or report.quarantined for report in found.values())


def test_invalid_paths_are_refused() -> None:
    with pytest.raises(DataError, match="given as list; allowed is its path"):
        read_votes([{"prompt": "x"}])


def test_texts_and_lists_alternate_in_one_column(tmp_path: Path) -> None:
    prompts: list[Any] = [f"say {i}" if i % 3 else [f"[{i}]", None, "b"] for i in range(200)]
    rows = [{"prompt": prompt, "response_a": "x", "response_b": ["y"], "winner": "a"} for prompt in prompts]
    votes = read_votes(write_jsonl(tmp_path / "votes.jsonl", rows))
    assert votes.column("prompt").to_pylist() == [[p] if isinstance(p, str) else p for p in prompts]
    assert votes.report is not None
    assert votes.report.text["prompt"] == "plain"
