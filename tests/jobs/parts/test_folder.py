"""Test predictions of many files: deterministic parts and a manifest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from votecast import predict_file
from votecast.data.outputs import read_predictions
from votecast.errors import ArtifactError, ConfigError, DataError, JudgeError
from votecast.jobs.parts import FolderJob, InputDone, PartDone, PendingInput
from votecast.jobs.predict_folder import predict_folder

from .conftest import bytes_of, write_votes

PARTS = [(0, 0, 1024), (0, 1, 1024), (0, 2, 452), (1, 0, 1024), (2, 0, 3)]
NAMES = [f"part-{file:05d}-{part:05d}.parquet" for file, part, _ in PARTS]
WORK = ".manifest.json.work"


def predict(judge: Any, out: Path, given: Any = "pairs/*.jsonl", **options: Any) -> dict[str, Any]:
    return predict_folder(judge, given, out, part_rows=1024, **options)


@pytest.fixture
def undisturbed(judge: Callable, pairs: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return the folder's content after an undisturbed run."""
    predict(judge(), tmp_path / "quiet")
    return bytes_of(tmp_path / "quiet")


def test_parts_are_in_the_order_of_inputs_and_rows(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    summary = predict(judge(), tmp_path / "out")
    assert (summary["rows"], summary["inputs"], summary["parts"], summary["reused"]) == (3527, 3, 5, 0)
    assert sorted(bytes_of(tmp_path / "out")) == ["manifest.json", *NAMES]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [each["path"] for each in manifest["inputs"]] == ["pairs/a.jsonl", "pairs/b.jsonl", "pairs/c.jsonl"]
    assert [each["bytes"] for each in manifest["inputs"]] == [
        (pairs / f"{name}.jsonl").stat().st_size for name in "abc"
    ]
    assert [(each["input"], each["part"], each["rows"]) for each in manifest["parts"]] == PARTS
    for each in manifest["parts"]:
        assert hashlib.sha256((tmp_path / "out" / each["name"]).read_bytes()).hexdigest() == each["sha256"]


def test_predictions_match_single_files(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    predict(judge(), tmp_path / "out")
    predict_file(judge(), pairs / "a.jsonl", tmp_path / "a.csv")
    ids, shares, _ = read_predictions(tmp_path / "a.csv")
    parts = [read_predictions(tmp_path / "out" / name) for name in NAMES[:3]]
    assert [name for part in parts for name in part[0]] == ids
    assert [row for part in parts for row in part[1].tolist()] == shares.tolist()
    assert parts[0][2] == {"name": "lengths", "hash": "5a"}


@pytest.mark.parametrize("fails_at", [1, 3, 4])
def test_a_stopped_run_resumes_with_the_missing_parts(
    judge: Callable, undisturbed: dict[str, bytes], tmp_path: Path, fails_at: int
) -> None:
    out = tmp_path / "out"
    with pytest.raises(RuntimeError) as caught:
        predict(judge(fails_at), out)
    assert "--resume" in caught.value.__notes__[0]
    assert not (out / "manifest.json").exists()
    with pytest.raises(ArtifactError, match=r"pass --resume to continue it, or --overwrite to start over"):
        predict(judge(), out)
    again = judge()
    summary = predict(again, out, resume=True)
    assert summary["reused"] == sum(rows for _, _, rows in PARTS[:fails_at])
    assert again.asked == [rows for _, _, rows in PARTS[fails_at:]]
    assert bytes_of(out) == undisturbed


def test_an_input_whose_parts_are_all_there_is_not_read_again(
    judge: Callable, undisturbed: dict[str, bytes], pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError):
        predict(judge(3), tmp_path / "out")
    before = (pairs / "a.jsonl").stat()
    (pairs / "a.jsonl").write_bytes(b"x" * before.st_size)
    os.utime(pairs / "a.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))
    predict(judge(), tmp_path / "out", resume=True)
    assert bytes_of(tmp_path / "out") == undisturbed


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
@pytest.mark.parametrize("finished", [False, True])
def test_a_part_that_was_damaged_is_made_again(
    judge: Callable, undisturbed: dict[str, bytes], tmp_path: Path, damage: bytes | None, finished: bool
) -> None:
    out = tmp_path / "out"
    if finished:
        predict(judge(), out)
    else:
        with pytest.raises(RuntimeError):
            predict(judge(4), out)
    part = out / NAMES[1]
    part.unlink() if damage is None else part.write_bytes(damage)
    again = judge()
    predict(again, out, resume=True)
    assert again.asked == ([1024] if finished else [1024, 3])
    assert bytes_of(out) == undisturbed


def test_a_finished_folder_is_not_overwritten(judge: Callable, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    out, again = tmp_path / "quiet", judge()
    with pytest.raises(ArtifactError, match="pass --resume to continue them, --overwrite to replace them"):
        predict(again, out)
    assert predict(again, out, resume=True)["reused"] == 3527
    assert again.asked == []
    assert bytes_of(out) == undisturbed
    with pytest.raises(ConfigError, match=r"judge\.hash"):
        predict(judge(hash="other"), out, resume=True)
    assert bytes_of(out) == undisturbed
    predict(judge(hash="other"), out, overwrite=True)
    assert bytes_of(out).keys() == undisturbed.keys()
    assert bytes_of(out) != undisturbed


@pytest.mark.parametrize("change", [{"format_version": 2}, {"inputs": [{}]}, {"parts": None}, {"parts": [{"part": 0}]}])
def test_a_foreign_manifest_is_reported(
    judge: Callable, undisturbed: dict[str, bytes], tmp_path: Path, change: dict[str, Any]
) -> None:
    manifest = tmp_path / "quiet" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(ArtifactError, match="was changed, or written by another version"):
        predict(judge(), tmp_path / "quiet", resume=True)
    predict(judge(), tmp_path / "quiet", overwrite=True)
    assert bytes_of(tmp_path / "quiet") == undisturbed


def test_fewer_parts_replace_more(judge: Callable, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    predict(judge(), tmp_path / "quiet", ["pairs/c.jsonl"], overwrite=True)
    assert sorted(bytes_of(tmp_path / "quiet")) == ["manifest.json", NAMES[0]]


def test_work_of_another_kind_is_not_mixed_in(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(RuntimeError):
        predict(judge(2), out)
    work = bytes_of(out)
    with pytest.raises(ConfigError, match=r"settings\.part_rows"):
        predict_folder(judge(), "pairs/*.jsonl", out, part_rows=2048, resume=True)
    with pytest.raises(ConfigError, match=r"pairs/c\.jsonl is missing from the inputs"):
        predict(judge(), out, ["pairs/a.jsonl", "pairs/b.jsonl"], resume=True)
    with pytest.raises(ConfigError, match=r"settings\.reader\.limit"):
        predict(judge(), out, resume=True, reader={"limit": 5})
    assert bytes_of(out) == work


def test_rows_that_have_changed_are_refused(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        predict(judge(2), tmp_path / "out")
    write_votes(pairs / "a.jsonl", 2500, first="z")
    with pytest.raises(ArtifactError, match=r"pairs/a\.jsonl has other rows now \(from row 1 on\)"):
        predict(judge(), tmp_path / "out", resume=True)
    assert len(list((tmp_path / "out" / WORK).glob("part-*.json"))) == 2


def test_a_bad_file_in_the_middle_is_named_with_its_row(
    judge: Callable, undisturbed: dict[str, bytes], pairs: Path, tmp_path: Path
) -> None:
    whole = (pairs / "b.jsonl").read_text()
    (pairs / "b.jsonl").write_text(whole.replace('"prompt": "b 700"', '"prompt": {"7": 1}'))
    with pytest.raises(DataError, match=r"pairs/b\.jsonl, row 701"):
        predict(judge(), tmp_path / "out")
    (pairs / "b.jsonl").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"pairs/b\.jsonl, row 1"):
        predict(judge(), tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "manifest.json").exists()
    (pairs / "b.jsonl").write_text(whole)
    predict(judge(), tmp_path / "out", overwrite=True)
    assert bytes_of(tmp_path / "out") == undisturbed


def test_bad_rows_that_are_set_aside_lie_in_the_folder(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    broken = (pairs / "b.jsonl").read_text().splitlines()
    (pairs / "b.jsonl").write_text("\n".join([*broken[:5], "{broken", *broken[5:]]))
    summary = predict(judge(), tmp_path / "out", reader={"bad_rows": "quarantine"})
    assert summary["rows"] == 3527
    (line,) = (tmp_path / "out" / "quarantine-00001.jsonl").read_text().splitlines()
    assert (json.loads(line)["file"], json.loads(line)["row"]) == ("pairs/b.jsonl", 6)
    assert summary["reading"][1]["quarantine"] == "quarantine-00001.jsonl"
    before = bytes_of(tmp_path / "out")
    predict(judge(), tmp_path / "out", reader={"bad_rows": "quarantine"}, resume=True)
    assert bytes_of(tmp_path / "out") == before


def test_rows_that_cannot_be_scored_are_reported_at_the_end(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(JudgeError, match=r"1 rows could not be scored \(the first: its reward is nan\); .*unscored"):
        predict(judge(refuses="b 70"), out)
    (line,) = (out / "unscored.jsonl").read_text().splitlines()
    assert json.loads(line) == {"input": "pairs/b.jsonl", "id": "70", "row": 71, "reason": "its reward is nan"}
    assert not (out / "manifest.json").exists()
    summary = predict(judge(refuses="b 70"), out, resume=True, unscored="prior")
    assert (summary["unscored"], summary["reused"]) == (1, 2503)
    assert read_predictions(out / NAMES[3])[1][70].tolist() == [0.345, 0.345, 0.31]
    predict(judge(refuses="b 70"), tmp_path / "straight", unscored="prior")
    assert bytes_of(out) == bytes_of(tmp_path / "straight")
    predict(judge(refuses="b 70"), out, unscored="prior", resume=True)
    assert bytes_of(out) == bytes_of(tmp_path / "straight")


def test_existing_files_are_not_overwritten(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.md").write_text("mine")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(ArtifactError, match=r"holds thesis\.md, which is not part of a folder of predictions"):
            predict(judge(), out, **options)
    with pytest.raises(ArtifactError, match="is a file; parts go to a folder"):
        predict(judge(), out / "thesis.md", overwrite=True)
    assert bytes_of(out) == {"thesis.md": b"mine"}


def test_inputs_in_the_output_folder_are_kept(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (pairs / "c.jsonl").rename(tmp_path / "out" / "part-00000-00000.parquet")
    (tmp_path / "link").symlink_to("out")
    before = bytes_of(tmp_path / "out")
    for given in ("out/*", "link/part-00000-00000.parquet"):
        for options in ({"overwrite": True}, {"resume": True}):
            with pytest.raises(ConfigError, match="lies in the output folder"):
                predict(judge(), tmp_path / "out", given, **options)
    assert bytes_of(tmp_path / "out") == before


def test_a_run_without_progress_leaves_no_files(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        predict(judge(0), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unreported_part_is_not_computed_again(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    class Stopping:
        def run(
            self, job: FolderJob, readings: Sequence[PendingInput], progress: Callable[[int], None]
        ) -> Iterator[PartDone | InputDone]:
            (job.out / NAMES[0]).write(b"PAR1")
            raise KeyboardInterrupt
            yield

    with pytest.raises(KeyboardInterrupt):
        predict(judge(), tmp_path / "out", engine=Stopping())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part_rows": 1000}, "part_rows is 1000; allowed are multiples of 1024"),
        ({"format": "xml"}, "the format is 'xml'"),
        ({"reader": {"quarantine": "aside.jsonl"}}, "--quarantine is not allowed"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    judge: Callable, pairs: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        predict_folder(judge(), "pairs", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_partial_files_of_a_killed_process_are_removed(
    judge: Callable, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError):
        predict(judge(2), tmp_path / "out")
    (tmp_path / "out" / f".{NAMES[2]}.x7.part.parquet").write_bytes(b"PAR1")
    predict(judge(), tmp_path / "out", resume=True)
    assert bytes_of(tmp_path / "out") == undisturbed


def test_a_file_of_something_else_stops_the_work_before_its_first_row(
    judge: Callable, pairs: Path, tmp_path: Path
) -> None:
    (pairs / "c.jsonl").write_text('{"id": "1", "quality_a": 0.5}\n')
    asked = judge()
    with pytest.raises(DataError, match=r"pairs/c\.jsonl: no format fits its columns"):
        predict(asked, tmp_path / "out")
    assert asked.asked == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fails_at", [3, None])
def test_inputs_that_came_or_went_are_named(judge: Callable, pairs: Path, tmp_path: Path, fails_at: int | None) -> None:
    out = tmp_path / "out"
    with contextlib.suppress(RuntimeError):
        predict(judge(fails_at), out)
    with pytest.raises(ConfigError, match=r"^pairs/c\.jsonl is missing from the inputs of .*--overwrite"):
        predict(judge(), out, "pairs/[ab].jsonl", resume=True)
    write_votes(pairs / "d.jsonl", 2)
    (pairs / "b.jsonl").rename(pairs / "e.jsonl")
    with pytest.raises(ConfigError, match=r"^pairs/b\.jsonl is missing .* and pairs/d\.jsonl and 1 more are new"):
        predict(judge(), out, resume=True)


def test_two_inputs_of_one_name_are_kept_apart(judge: Callable, tmp_path: Path) -> None:
    files = [write_votes(tmp_path / folder / "x.jsonl", rows) for folder, rows in (("one", 5), ("two", 7))]
    summary = predict(judge(), tmp_path / "out", files)
    assert (summary["rows"], summary["parts"]) == (12, 2)
    assert [len(read_predictions(tmp_path / "out" / name)[0]) for name in (NAMES[0], NAMES[3])] == [5, 7]


def test_progress_counts_rows_and_estimates_all_of_them(judge: Callable, pairs: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    predict(judge(), tmp_path / "out", progress=lambda *each: seen.append(each))
    assert [done for done, _ in seen] == [1024, 2048, 2500, 3524, 3527]
    assert [total for _, total in seen[:3]] == [None] * 3  # no input was read to its end yet
    assert all(total is not None and abs(total - 3527) < 100 for _, total in seen[3:])
