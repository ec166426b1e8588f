"""Test reranking: calibrated scores, order independence, resumed files."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.jobs.test_predict import bytes_of, steps

import votecast
from votecast.data.candidates import EMPTY_CANDIDATE, CandidateReader
from votecast.errors import ArtifactError, ConfigError, DataError, JudgeError, UnscoredRowsError
from votecast.jobs.rerank import rerank, rerank_file
from votecast.judges import rank_candidates
from votecast.text.truncation import TruncationReport


class Longest:
    """A judge that prefers longer responses and depends on the batch."""

    name = "longest"

    def __init__(self, fails_at: int | None = None, hash: str = "5a") -> None:
        self.hash, self.asked, self._fails_at = hash, list[Any](), fails_at

    def predict_proba(self, battles: Any) -> np.ndarray:
        if len(self.asked) == self._fails_at:
            raise RuntimeError("the accelerator is gone")
        self.asked.append(battles)
        one, other = (np.array([len(t) for t in battles.text(name)]) for name in ("response_a", "response_b"))
        strength = np.stack([one, other, (one + other) / 2 + len(battles) % 7], axis=1) / 10
        p = np.exp(strength - strength.max(1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


class First(Longest):
    """A judge with position bias."""

    def predict_proba(self, battles: Any) -> np.ndarray:
        p = super().predict_proba(battles)
        p[:, 0] += 0.3
        return p / p.sum(axis=1, keepdims=True)


def best(answers: list[Any], judge: Any = None, **row: Any) -> rank_candidates.Ranking:
    (found,) = rerank(judge or Longest(), [{"prompt": "why", "candidates": answers} | row])
    return found


ANSWERS = st.lists(st.text("abc ", min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=7)


@settings(deadline=None, max_examples=60)
@given(ANSWERS, st.randoms(use_true_random=False), st.sampled_from([Longest, First]))
def test_permuted_candidates_have_the_same_scores_and_the_same_best(
    answers: list[str], random: Any, kind: type[Longest]
) -> None:
    places = list(range(len(answers)))
    random.shuffle(places)
    shown, permuted = best(answers, kind()), best([answers[i] for i in places], kind())
    assert permuted.scores == tuple(shown.scores[i] for i in places)
    assert answers[shown.index] == answers[places[permuted.index]]
    assert [answers[i] for i in shown.order] == [answers[places[i]] for i in permuted.order]


@settings(deadline=None, max_examples=60)
@given(ANSWERS, st.sampled_from([Longest, First]))
def test_expected_wins_average_one_half_and_equal_texts_have_equal_scores(
    answers: list[str], kind: type[Longest]
) -> None:
    found = best(answers, kind())
    assert np.mean(found.scores) == pytest.approx(0.5)
    assert sorted(found.order) == list(range(len(answers)))
    assert all(found.scores[i] >= found.scores[j] for i, j in itertools.pairwise(found.order))
    for one, other in itertools.combinations(range(len(answers)), 2):
        assert (answers[one] != answers[other]) or found.scores[one] == found.scores[other]


def test_a_score_is_the_mean_win_rate_against_the_others() -> None:
    answers = ["a", "abcdef", "abc", "abc"]
    battles = [
        {"prompt": "why", "response_a": one, "response_b": other}
        for one in answers
        for other in answers
        if one != other
    ]
    judge = Longest()
    judge_rates = iter((lambda p: p[:, 0] + p[:, 2] / 2)(_alone(judge, battles)))
    rates = {(b["response_a"], b["response_b"]): next(judge_rates) for b in battles}
    found = best(answers, _Fixed(rates))
    for place, own in enumerate(answers):
        others = [rates.get((own, other), 0.5) for at, other in enumerate(answers) if at != place]
        assert found.scores[place] == pytest.approx(np.mean(others))
    assert found.index == 1


def _alone(judge: Longest, battles: list[dict[str, str]]) -> np.ndarray:
    return np.concatenate([judge.predict_proba(votecast.Battles.from_rows([battle])) for battle in battles])


class _Fixed(Longest):
    def __init__(self, rates: dict[tuple[str, str], float]) -> None:
        super().__init__()
        self._rates = rates

    def predict_proba(self, battles: Any) -> np.ndarray:
        pairs = zip(battles.text("response_a"), battles.text("response_b"), strict=True)
        rates = np.array([self._rates.get(pair, 0.5) for pair in pairs])
        return np.stack([0.8 * rates, 0.8 * (1 - rates), np.full(len(rates), 0.2)], axis=1) + np.stack(
            [0.1 * (2 * rates - 1), 0.1 * (1 - 2 * rates), np.zeros(len(rates))], axis=1
        )


def test_one_candidate_is_the_best_and_no_judge_is_asked() -> None:
    judge = Longest()
    found = best(["only"], judge)
    assert (found.index, found.scores, judge.asked) == (0, (0.5,), [])
    found = best(["twice", "twice"], judge)
    assert (found.order, found.scores, judge.asked) == ((0, 1), (0.5, 0.5), [])


def test_only_judges_with_position_bias_score_both_orders() -> None:
    rows = [{"prompt": "why", "candidates": ["a", "ab", "abc"]}]
    for judge, pairs in ((Longest(), 3), (First(), 6)):
        rerank(judge, rows)
        asked = sum(len(battles) for battles in judge.asked if "France" not in str(battles.table["prompt"][0]))
        assert asked == pairs


def test_pairs_of_many_prompts_are_batched_and_scored_once() -> None:
    judge = Longest()
    rerank(judge, [{"prompt": f"why {n}", "candidates": [f"{n} {k}" for k in range(8)]} for n in range(50)])
    assert [len(battles) for battles in judge.asked[2:]] == [36 * 28, 14 * 28]
    pairs = {
        (prompt, *sorted(pair))
        for battles in judge.asked[2:]
        for prompt, *pair in zip(*(battles.text(n) for n in ("prompt", "response_a", "response_b")), strict=True)
    }
    assert len(pairs) == 50 * 28


def test_a_prompt_with_many_candidates_is_scored_in_parts() -> None:
    judge = Longest()
    found = best(["x" * n for n in range(1, 61)], judge)
    assert max(len(battles) for battles in judge.asked) == rank_candidates.GROUP
    assert found.index == 59


def test_turns_and_messages_are_understood() -> None:
    talk = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    judge = Longest()
    best(["four", [{"role": "assistant", "content": "five"}], ["two", "six"]], judge, prompt=talk)
    asked = judge.asked[2]
    assert asked.column("prompt").to_pylist() == [["one", "three"]] * 3
    turns = {tuple(turns) for name in ("response_a", "response_b") for turns in asked.column(name).to_pylist()}
    assert turns == {("two", "four"), ("two", "five"), ("two", "six")}
    judge = Longest()
    best(["late", ["early", "later"]], judge, prompt=["one", "three"])
    assert sorted(map(str, itertools.chain(*judge.asked[2].table.select([2, 3]).to_pydict().values()))) == [
        "['early', 'later']",
        "[None, 'late']",
    ]


WRONG = [
    ({"prompt": "why"}, "candidates", "the value is missing; every row needs candidates, a list of answers"),
    ({"prompt": "why", "candidates": None}, "candidates", "the value is missing; every row needs candidates"),
    ({"prompt": "why", "candidates": []}, "candidates", "the list of candidates is empty; give at least one answer"),
    (
        {"prompt": "why", "candidates": ["a", None]},
        "candidates",
        "candidate 2 is null; every candidate needs",
    ),
    ({"prompt": "why", "candidates": ["", " \n"]}, "candidates", "no candidate has a visible character"),
    ({"prompt": "why", "candidates": ["a", []]}, "candidates", "candidate 2 has no answer"),
    ({"prompt": "why", "candidates": ["a", [None, None]]}, "candidates", "candidate 2 has no answer"),
    ({"prompt": "why", "candidates": "a"}, "candidates", "the candidates are one text that is not a JSON list"),
    ({"prompt": "why", "candidates": {"x": "a"}}, "candidates", "the candidates are an object; allowed is a list"),
    ({"prompt": "why", "candidates": ["a", 7]}, "candidates", "candidate 2 is a number; allowed is a text"),
    ({"prompt": "why", "candidates": ["a", ["b", 7]]}, "candidates", "turn 2 of candidate 2 is a number"),
    (
        {"prompt": "why", "candidates": ["a", [{"role": "robot", "content": "b"}]]},
        "candidates",
        "candidate 2: message 1",
    ),
    (
        {"prompt": "why", "candidates": ["a", [{"role": "user", "content": "b"}]]},
        "candidates",
        "candidate 2 has no answer",
    ),
    ({"candidates": ["a"]}, "prompt", "the value is missing; every row needs a prompt"),
    ({"prompt": [], "candidates": ["a"]}, "prompt", "the prompt has no turn with a text"),
    ({"prompt": [None], "candidates": ["a"]}, "prompt", "the prompt has no turn with a text"),
    ({"prompt": 7, "candidates": ["a"]}, "prompt", "the prompt is a number"),
    (
        {"prompt": [{"role": "assistant", "content": "x"}], "candidates": ["a"]},
        "prompt",
        "does not end with the user's",
    ),
]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_model_that_gave_no_answer_is_ranked_and_reported(tmp_path: Path, suffix: str) -> None:
    rows = [GOOD, {"prompt": "why", "candidates": ["It is so.", ""]}, {"prompt": "why", "candidates": [" ", "a"]}]
    path, out = tmp_path / f"rows{suffix}", tmp_path / "best.jsonl"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    found = rerank_file(Longest(), path, out)
    assert found["reading"]["repairs"] == {EMPTY_CANDIDATE: 2}
    ranked = [json.loads(line) for line in out.read_text().splitlines()]
    assert [len(row["scores"]) for row in ranked] == [2, 2, 2]


GOOD = {"prompt": "why", "candidates": ["a", "b"]}


def holds(suffix: str, row: dict[str, Any]) -> bool:
    """Return whether a file format can hold a row unchanged."""
    try:
        pa.Table.from_pylist([GOOD, row])
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return suffix == "memory" or (suffix == ".jsonl" and row["prompt"] != 7)
    return True


@pytest.mark.parametrize(
    ("suffix", "row", "column", "message"),
    [(suffix, *case) for suffix in ("memory", ".jsonl", ".parquet") for case in WRONG if holds(suffix, case[0])],
)
def test_a_row_that_cannot_be_used_is_named_with_its_reason(
    tmp_path: Path, suffix: str, row: dict[str, Any], column: str, message: str
) -> None:
    rows = [GOOD, GOOD, row]
    path, out = tmp_path / f"rows{suffix}", tmp_path / "out" / "best.jsonl"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    with pytest.raises(DataError) as caught:
        rerank(Longest(), rows) if suffix == "memory" else rerank_file(Longest(), path, out)
    assert "row 3" in str(caught.value)
    assert f"column {column!r}" in str(caught.value)
    assert message in str(caught.value)
    assert not out.exists()


def test_missing_columns_are_reported_with_those_present(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "why", "responses": ["a"]}\n')
    with pytest.raises(DataError, match=r"no column 'candidates'; it has 'prompt', 'responses'; a row holds"):
        list(CandidateReader(path))
    path.write_text('{"text": "why"}\n')
    with pytest.raises(DataError, match="no column 'prompt' and none 'candidates'"):
        list(CandidateReader(path))


def test_bad_rows_may_be_set_aside(tmp_path: Path) -> None:
    path, quarantine = tmp_path / "rows.jsonl", tmp_path / "aside.jsonl"
    lines = [json.dumps({"id": n} | row) for n, (row, *_) in enumerate(WRONG)]
    lines[3:3] = ["{torn", json.dumps({"id": "fine", "prompt": "why", "candidates": ["a"]})]
    lines.append(json.dumps({"id": "fine", "prompt": "why", "candidates": ["again"]}))
    path.write_text("\n".join(lines) + "\n")
    reader = {"bad_rows": "quarantine", "quarantine": str(quarantine)}
    summary = rerank_file(Longest(), path, tmp_path / "best.jsonl", reader=reader)
    assert summary["rows"] == 1
    assert summary["reading"]["quarantined"] == len(WRONG) + 2
    stored = [json.loads(line) for line in quarantine.read_text().splitlines()]
    assert [each["row"] for each in stored] == [n for n in range(1, len(lines) + 1) if n != 5]
    assert "the id was used before, in row 5" in stored[-1]["reason"]
    with pytest.raises(ConfigError, match="bad_rows is 'skip'"):
        CandidateReader(path, bad_rows="skip")


def write_rows(path: Path, rows: int = 60, first: str = "why") -> Path:
    lines = (
        {
            "id": f"r{n}",
            "prompt": f"{first} {n}",
            "candidates": [f"{n} " + "x" * (k * n % 5 + 1) for k in range(n % 9 + 1)],
        }
        for n in range(rows)
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a file whose pairs come in several groups."""
    monkeypatch.setattr(rank_candidates, "GROUP", 60)
    return write_rows(tmp_path / "rows.jsonl")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return an output path in an empty folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "best.jsonl"


def test_the_file_matches_the_function(rows: Path, out: Path) -> None:
    summary = rerank_file(Longest(), rows, out, top="all")
    given = [json.loads(line) for line in rows.read_text().splitlines()]
    found = rerank(Longest(), given)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert summary["rows"] == len(lines) == 60
    assert summary["candidates"] == sum(len(row["candidates"]) for row in given)
    for row, line, expected in zip(given, lines, found, strict=True):
        assert (line["id"], line["prompt"], line["index"]) == (row["id"], row["prompt"], expected.index)
        assert line["best"] == row["candidates"][expected.index]
        assert tuple(line["scores"]) == expected.scores
        assert line["judge"] == {"name": "longest", "hash": "5a"}
        assert [each["index"] for each in line["top"]] == list(expected.order)
        assert all(each["answer"] == row["candidates"][each["index"]] for each in line["top"])
    rerank_file(Longest(), rows, out.with_name("two.jsonl"), top=2)
    tops = [json.loads(line)["top"] for line in out.with_name("two.jsonl").read_text().splitlines()]
    assert tops == [line["top"][:2] for line in lines]
    with pytest.raises(ConfigError, match="top is 0; allowed are whole numbers from 1 up, and all"):
        rerank_file(Longest(), rows, out, top=0)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv", ".jsonl.gz", ".jsonl.zst"])
def test_any_container_in_and_out(tmp_path: Path, rows: Path, out: Path, suffix: str) -> None:
    from votecast.data.io import open_table

    rerank_file(Longest(), rows, out, top=1)
    expected = [json.loads(line) for line in out.read_text().splitlines()]
    given, other = tmp_path / f"rows{suffix}", out.with_name(f"other{suffix}")
    from votecast.data.outputs.table_writer import TableWriter

    with TableWriter(given, given) as sink:
        sink.write(pa.Table.from_pylist([json.loads(line) for line in rows.read_text().splitlines()]))
    rerank_file(Longest(), given, other, top=1)
    with open_table(other) as stream:
        found = [row for batch in stream for row in batch.table.to_pylist()]
    if suffix == ".csv":
        names = ("scores", "judge", "top", "index")
        found = [row | {name: json.loads(row[name]) for name in names} for row in found]
    assert found == expected


def test_columns_of_parquet_are_text_or_turns(tmp_path: Path) -> None:
    rows = [
        {"prompt": "why", "candidates": ["a", "ab"]},
        {"prompt": ["one", "two"], "candidates": [["xxx", "yyy"], "later"]},
    ]
    for count, (prompt, answer) in ((1, ("why", "ab")), (2, (["why"], ["ab"]))):
        path, out = tmp_path / f"{count}.jsonl", tmp_path / f"{count}.parquet"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[:count]))
        rerank_file(Longest(), path, out, top=1)
        first = pq.read_table(out).to_pylist()[0]
        assert (first["prompt"], first["best"], first["top"][0]["answer"]) == (prompt, answer, answer)
    rows.append({"prompt": "p", "candidates": [[{"role": "assistant", "content": "so"}]]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rerank_file(Longest(), path, out, overwrite=True)
    assert [json.loads(row) for row in pq.read_table(out)["best"].to_pylist()] == [
        "ab",
        ["xxx", "yyy"],
        rows[2]["candidates"][0],
    ]


def test_standard_columns_without_any_row_left(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "why", "candidates": []}\n')
    reader = {"bad_rows": "quarantine", "quarantine": str(tmp_path / "aside.jsonl")}
    assert rerank_file(Longest(), path, tmp_path / "best.parquet", reader=reader)["rows"] == 0
    assert pq.read_table(tmp_path / "best.parquet").num_rows == 0


def test_a_failing_judge_keeps_its_shards_for_resume(rows: Path, out: Path) -> None:
    rerank_file(Longest(), rows, out.parent.with_name("quiet") / "best.jsonl")
    with pytest.raises(RuntimeError) as caught:
        rerank_file(Longest(fails_at=6), rows, out)
    assert "--resume" in caught.value.__notes__[0]
    with pytest.raises(ArtifactError, match="pass --resume to continue it, or --overwrite to start over"):
        rerank_file(Longest(), rows, out)
    reported: list[int] = []
    judge = Longest()
    summary = rerank_file(judge, rows, out, resume=True, progress=lambda done, _: reported.append(done))
    assert 0 < summary["reused"] == reported[0] < reported[-1] == 60
    assert bytes_of(out.parent) == bytes_of(out.parent.with_name("quiet"))
    again = Longest()
    assert rerank_file(again, rows, out, resume=True) == summary | {"reused": 60}
    assert again.asked == []


def test_work_of_other_rows_judges_and_options_is_refused(rows: Path, out: Path) -> None:
    with pytest.raises(RuntimeError):
        rerank_file(Longest(fails_at=6), rows, out)
    work = bytes_of(out.parent)
    with pytest.raises(ConfigError, match="judge.hash"):
        rerank_file(Longest(hash="other"), rows, out, resume=True)
    with pytest.raises(ConfigError, match="reader.limit"):
        rerank_file(Longest(), rows, out, resume=True, reader={"limit": 20})
    write_rows(rows, first="what")
    with pytest.raises(ArtifactError, match="holds predictions of other rows: the input is not the one"):
        rerank_file(Longest(), rows, out, resume=True)
    write_rows(rows, rows=8)
    with pytest.raises(ArtifactError, match="holds predictions of other rows"):
        rerank_file(Longest(), rows, out, resume=True)
    assert {name: each for name, each in bytes_of(out.parent).items() if name.endswith(".shard")} == {
        name: each for name, each in work.items() if name.endswith(".shard")
    }


def test_a_finished_output_of_other_rows_is_kept(rows: Path, out: Path) -> None:
    rerank_file(Longest(), rows, out)
    before = bytes_of(out.parent)
    write_rows(rows, first="what")
    with pytest.raises(ArtifactError, match="made from other rows"):
        rerank_file(Longest(), rows, out, resume=True)
    with pytest.raises(ArtifactError, match="already exists"):
        rerank_file(Longest(), rows, out, resume=True, top=3)
    assert bytes_of(out.parent) == before


@pytest.mark.parametrize(("name", "kills"), [("best.parquet", False), ("best.jsonl", True)])
def test_whatever_fails_at_whichever_step_the_same_call_with_resume_gives_the_same_bytes(
    rows: Path, out: Path, kills: bool, name: str
) -> None:
    write_rows(rows, rows=14)
    out, folder = out.with_name(name), out.parent
    rerank_file(Longest(), rows, out)
    undisturbed = bytes_of(folder)

    def clear() -> None:
        for path in folder.iterdir():
            path.unlink()

    clear()
    tried = 0
    for at, _ in steps(kills, lambda: rerank_file(Longest(), rows, out), clear):
        rerank_file(Longest(), rows, out, resume=True)
        assert bytes_of(folder) == undisturbed, at
        tried += 1
    assert tried > 15


class Cutting(Longest):
    """A judge that reads five characters of a prompt."""

    def predict_with_truncation(self, battles: Any) -> tuple[np.ndarray, TruncationReport]:
        full = np.array([[len(t) for t in battles.text(name)] for name in ("prompt", "response_a", "response_b")]).T
        return self.predict_proba(battles), TruncationReport(np.minimum(full, [5, 99, 99]), full)


def test_truncation_is_summed_over_both_runs(rows: Path, out: Path) -> None:
    summary = rerank_file(Cutting(), rows, out)
    assert summary["cut"]["rows"] == summary["pairs"]
    assert summary["cut"]["kept"]["prompt"] < 1
    assert rerank_file(Cutting(), rows, out, resume=True)["cut"] == summary["cut"]
    with pytest.raises(ConfigError, match="'longest' has no settings of inference; drop precision"):
        rerank_file(Longest(), rows, out, overwrite=True, inference={"precision": "bf16"})


class RejectsSeven(Longest):
    """A judge that cannot score responses of seven characters."""

    def predict_proba(self, battles: Any) -> np.ndarray:
        texts = zip(battles.text("response_a"), battles.text("response_b"), strict=True)
        bad = {row: "answer a: no number" for row, pair in enumerate(texts) if 7 in map(len, pair)}
        if bad:
            raise UnscoredRowsError(bad, len(battles))
        return super().predict_proba(battles)


def test_rows_that_cannot_be_scored_are_skipped_and_reported(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"id": "fine", "prompt": "why", "candidates": ["a", "b"]}]
    rows += [{"id": "seven", "prompt": "why", "candidates": ["a", "b", "1234567"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = rerank_file(RejectsSeven(), path, out)
    reported = json.loads(out.with_name("best.jsonl.unscored.jsonl").read_text())
    assert (summary["rows"], summary["unranked"]) == (2, 1)
    assert summary["unranked_file"] == str(out) + ".unscored.jsonl"
    assert (reported["id"], reported["row"]) == ("seven", 2)
    assert reported["reason"].endswith("3: answer a: no number") or "candidates 3 and" in reported["reason"]
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["fine"]
    assert rerank_file(RejectsSeven(), path, out, resume=True) == summary | {"reused": 2}
    with pytest.raises(JudgeError, match="row 'seven' cannot be ranked: candidates "):
        rerank(RejectsSeven(), rows)
    path.write_text(json.dumps(rows[1]) + "\n")
    with pytest.raises(JudgeError, match="none of the 1 rows can be ranked; the first: candidates"):
        rerank_file(RejectsSeven(), path, out.with_name("other.jsonl"))
