import csv
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.serving.page.visit import Visit

from votecast.data.reader import read_votes
from votecast.data.simulation import write_simulation
from votecast.judges.load import load_judge
from votecast.metrics import log_loss

Open = Callable[..., Visit]

HEAD = "id,prompt,response_a,response_b"
HOSTILE = "<img src=x onerror='window.hit = 1'>"
DROP = """text => {
    const data = new DataTransfer();
    data.items.add(new File([text], "mine.csv"));
    document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
}"""


def table(n: int, answer: str = "Because of {}.") -> str:
    return "\r\n".join([HEAD, *(f"r{i},Why {i}?,{answer.format(i)},No." for i in range(n)), ""])


def records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def run(page: Visit, n: int) -> None:
    page.button(f"Predict {n:,} pair{'s' * (n != 1)}").click()
    page.page.get_by_role("heading", name="Results").wait_for()


def test_a_dropped_file_is_predicted_as_by_the_service(visit: Open, http: httpx.Client, tmp_path: Path) -> None:
    page = visit("#file")
    text = 'response_b,id,prompt,response_a\r\nno,"1","Say ""yes"", please","yes,\nyes"\r\n"; no",,=1+1,ja\r\n'
    page.page.evaluate(DROP, text)
    page.wait_for_text("#file-status", "mine.csv: 2 pairs; no votes; no models named.")
    run(page, 2)
    battles = [
        {"prompt": 'Say "yes", please', "response_a": "yes,\nyes", "response_b": "no"},
        {"prompt": "=1+1", "response_a": "ja", "response_b": "; no"},
    ]
    answer = http.post("/v1/compare/batch", json={"battles": battles}).json()["predictions"]
    path = page.download("Download CSV", tmp_path)
    assert path.name == "mine-predictions.csv"
    for row, prediction, name in zip(records(path), answer, ("1", "2"), strict=True):
        assert row["id"] == name and row["decision"] == prediction["decision"]
        assert [float(row[f"p_{key}"]) for key in ("a", "b", "tie")] == list(prediction["probabilities"].values())
    lines = page.download("Download JSON lines", tmp_path).read_text("utf-8").splitlines()
    assert [json.loads(line)["probabilities"] for line in lines] == [
        prediction["probabilities"] for prediction in answer
    ]


def test_votes_and_models_give_metrics_and_a_leaderboard(visit: Open, http: httpx.Client, tmp_path: Path) -> None:
    write_simulation(tmp_path / "votes.csv", rows=70, seed=5)
    battles = read_votes(tmp_path / "votes.csv")
    p = load_judge("bundled:baseline").predict_proba(battles)
    page = visit("#file")
    page["#file"].set_input_files(tmp_path / "votes.csv")
    page.wait_for_text("#file-status", "70 pairs; 70 votes; models are named.")
    run(page, 70)
    figures = page[".figures"].inner_text()
    assert f"{log_loss(battles.targets(), p):.4f}" in figures
    assert f"{100 * np.mean(p.argmax(axis=1) == battles.targets().argmax(axis=1)):.1f}%" in figures
    page.page.get_by_text("Leaderboard by predictions: 70 battles").wait_for()
    page.page.get_by_label("by votes").check()
    page.page.get_by_text("Leaderboard by votes: 70 battles").wait_for()
    columns = [battles.column(name).to_pylist() for name in ("model_a", "model_b", "winner")]
    games = [dict(zip(("model_a", "model_b", "winner"), game, strict=True)) for game in zip(*columns, strict=True)]
    board = http.post("/v1/leaderboard", json={"games": games}).json()
    assert page[".board tbody th"].all_inner_texts() == [model["model"] for model in board["models"]]
    for note in board["notes"]:
        assert note in page[".board"].inner_text()


def test_json_lines_hold_texts_or_turns(visit: Open, tmp_path: Path) -> None:
    page = visit("#file")
    page.expected.add(422)
    lines = [
        {"id": 7, "prompt": "Hi", "response_a": "[1, 2]", "response_b": "b", "winner": "tie"},
        {"prompt": ["One", "Two"], "response_a": ["a", None], "response_b": ["", "d"]},
        {"prompt": ["One", "Two"], "response_a": ["a"], "response_b": ["b", "d"]},
        {"prompt": "Hi", "response_a": " ", "response_b": "b"},
        {"prompt": "Hi", "response_a": 3, "response_b": "b"},
    ]
    text = "\n".join([*map(json.dumps, lines), "{broken", "[]", "", '{"prompt": "x"}'])
    page.choose("pairs.jsonl", "\ufeff" + text)
    page.wait_for_text("#file-status", "3 pairs; 1 vote; no models named; 5 rows cannot be used.")
    run(page, 3)
    page.wait_for_text("#file-status", "2 predictions; 6 rows without one.")
    failed = {row["row"]: row["reason"] for row in records(page.download("Download failed rows", tmp_path))}
    assert "turn" in failed["3"] and failed["4"] == "response_a holds no text"
    assert "neither a text nor" in failed["5"] and "not JSON" in failed["6"] and "no JSON object" in failed["7"]
    assert failed["8"] == "response_a is empty"
    done = records(page.download("Download CSV", tmp_path))
    assert [row["id"] for row in done] == ["7", "2"]


def test_numbers_as_ids_are_kept_and_odd_winners_are_no_votes(visit: Open, tmp_path: Path) -> None:
    page = visit("#file")
    pair = '"prompt": "Hi", "response_a": "a", "response_b": "b"'
    ids = ["12345678901234567890", "7", "0.5"]
    winners = ["constructor", "toString", "Model_B "]
    lines = [f'{{"id": {name}, {pair}, "winner": "{winner}"}}' for name, winner in zip(ids, winners, strict=True)]
    page.choose("pairs.jsonl", "\n".join(lines))
    page.wait_for_text("#file-status", "3 pairs; 1 vote; no models named; 2 votes cannot be read and are left out.")
    run(page, 3)
    assert [row["id"] for row in records(page.download("Download CSV", tmp_path))] == ids


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "is empty"),
        ("blank.csv", b"\r\n\r\n", "nothing but empty lines"),
        ("head.csv", HEAD.encode(), "column names but no rows"),
        ("wrong.csv", b"question,answer\n1,2\n", "no column prompt, response_a, response_b"),
        ("pairs.csv", b"prompt,chosen,rejected\n1,2,3\n", "votecast convert"),
        ("twice.csv", b"prompt,prompt,response_a,response_b\n1,2,3,4\n", "Two columns are called prompt"),
        ("open.csv", HEAD.encode() + b'\n1,"x,y,z\n', "begins in line 2 is never closed"),
        ("list.json", b'[{"prompt": "x"}]', "one JSON list"),
        ("picture.csv", bytes(range(256)), "no UTF-8 text"),
        ("nul.csv", b"prompt\0,response_a", "no UTF-8 text"),
        ("latin.csv", HEAD.encode() + b"\n1,caf\xe9,b,c\n", "no UTF-8 text"),
        ("long.csv", table(10_001).encode(), "more than 10,000 pairs"),
    ],
)
def test_a_file_that_does_not_fit_gets_one_clear_message(visit: Open, name: str, content: bytes, words: str) -> None:
    page = visit("#file")
    page.choose(name, content)
    page.wait_for_text("#file-problem", words)
    assert name in page["#file-problem"].inner_text() or "line 2" in words or "Two" in words
    assert page["#file-status"].inner_text() == "" and page["#file-body"].inner_text() == ""
    page.choose("good.csv", table(1))
    page.button("Predict 1 pair").wait_for()
    assert page["#file-problem"].inner_text() == ""


def test_rows_of_another_length_are_reported(visit: Open) -> None:
    page = visit("#file")
    page.choose("torn.csv", table(2) + "r2,only two\r\n,,,\r\n")
    run(page, 2)
    shown = page["#file-body .failed"].inner_text()
    assert "has 2 cells where the first row has 4" in shown and "prompt is empty" in shown
    assert page["#file-body tbody"].first.locator("tr").count() == 2


def test_ten_thousand_pairs_are_cancelled_and_gone_on_with(visit: Open) -> None:
    page = visit("#file")
    page.choose("many.csv", table(10_000))
    page.button("Predict 10,000 pairs").click()
    page.page.locator(".progress p", has_text="of 10,000 pairs").wait_for()
    assert page[":focus"].inner_text() == "Cancel"
    page.page.locator(".progress p", has_text="left").wait_for()
    page.page.keyboard.press("Enter")
    page.wait_for_text("#file-status", "Cancelled:")
    assert page.button("Download CSV").is_visible()
    done = page["#file-status"].inner_text()
    asked = len(page.asked)
    page.page.wait_for_timeout(500)
    assert len(page.asked) == asked, done
    page.button("Continue with the other", exact=False).click()
    page["#cancel"].wait_for()
    page["#cancel"].click()
    page.wait_for_text("#file-status", "Cancelled:")


def test_predictions_before_a_cancel_are_ranked(visit: Open) -> None:
    page = visit("#file")
    page.choose("some.csv", f"{HEAD},model_a,model_b\n" + "1,Why?,Because.,No.,one,two\n" * 6000)
    page.button("Predict 6,000 pairs").click()
    page.page.locator(".progress p", has_text="left").wait_for()
    page["#cancel"].click()
    page.wait_for_text("#file-status", "Cancelled:")
    page.page.get_by_text("Leaderboard by predictions").wait_for()


def test_a_busy_service_sets_the_pace(visit: Open) -> None:
    page = visit("#file")
    busy = {"status": 429, "headers": {"Retry-After": "1"}, "json": {"error": {"message": "later", "errors": []}}}
    page.answer("v1/compare/batch", *[busy] * 4)
    page.choose("some.csv", table(100))
    page.button("Predict 100 pairs").click()
    page.page.locator(".progress p", has_text="the service is busy").wait_for()
    page.wait_for_text("#file-status", "100 predictions.")


def test_refused_rows_do_not_affect_others(visit: Open) -> None:
    page = visit("#file")
    faults = [{"path": "battles.3", "message": "is longer than the judge reads"}]
    refused = {"status": 422, "json": {"error": {"type": "unscored", "message": "x", "errors": faults}}}
    page.answer("v1/compare/batch", refused)
    page.choose("some.csv", table(10))
    run(page, 10)
    page.wait_for_text("#file-status", "9 predictions; 1 row without one.")
    assert "is longer than the judge reads" in page[".failed"].inner_text()


def test_batches_too_large_for_the_service_are_halved(visit: Open) -> None:
    page = visit("#file")
    page.answer("v1/compare/batch", {"status": 413, "json": {"error": {"message": "x", "errors": []}}})
    page.choose("some.csv", table(5, answer="x" * 10_000 + "{}") + f"r5,Why?,{'y' * 2_000_000},No.\r\n")
    run(page, 6)
    page.wait_for_text("#file-status", "5 predictions; 1 row without one.")
    assert "2.0 MB long" in page[".failed"].inner_text()


def test_a_failing_service_keeps_finished_rows(visit: Open) -> None:
    page = visit("#file")
    error = {"status": 500, "json": {"error": {"message": "something broke", "errors": []}}}
    page.answer("v1/compare/batch", *[error] * 4)
    page.choose("some.csv", table(40))
    page.button("Predict 40 pairs").click()
    page.wait_for_text("#file-problem", "something broke")
    assert "40 pairs not predicted yet" in page["#file-status"].inner_text()
    page.page.unroute_all()
    page.button("Continue with", exact=False).click()
    page.wait_for_text("#file-status", "40 predictions.")


def test_hostile_cells_and_names_are_shown_as_text(visit: Open) -> None:
    page = visit("#file")
    head = f"id,prompt,response_a,response_b,model_a,model_b,{HOSTILE}\r\n"
    page.choose(f"{HOSTILE}.csv", head + f"{HOSTILE},{HOSTILE},{HOSTILE},b,{HOSTILE},other,x\r\n" * 2)
    page.wait_for_text("#file-status", HOSTILE)
    run(page, 2)
    page.page.locator(".board tbody th", has_text="<img").wait_for()
    page.choose("x.csv", f"{HOSTILE}\r\n1\r\n")
    page.wait_for_text("#file-problem", "<img src=x")
    assert page["#view-file img"].count() == 0
    assert page.page.evaluate("window.hit") is None


def test_the_sample_is_one_click_away(visit: Open) -> None:
    page = visit()
    page.page.get_by_role("link", name="File").click()
    assert page[":focus"].inner_text() == "Predict a file"
    page.button("Use the sample").click()
    run(page, 16)
    page.page.get_by_text("Leaderboard by predictions").wait_for()
