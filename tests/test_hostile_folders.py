"""Folders that somebody else wrote: nothing outside is read, nothing unlisted, and nothing but what was hashed."""

import json
import os
from pathlib import Path

import pytest

from votecast.artifacts import hashed_folders as folders
from votecast.artifacts import open_folder, read_folder, read_json, read_limited, write_folder
from votecast.errors import ArtifactError


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    def write(folder: Path) -> None:
        (folder / "members").mkdir()
        (folder / "members" / "weights.txt").write_text("1 2 3")
        (folder / "README.md").write_text("# card")

    return write_folder(tmp_path / "judge", {"name": "mine"}, write).path


def _link(path: Path, to: str | Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def _move_out(judge: Path) -> None:
    (judge / "members").rename(judge.parent / "elsewhere")
    (judge / "members").symlink_to(judge.parent / "elsewhere")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: _link(f / "members" / "weights.txt", "/dev/zero"), "weights.txt, which is a link"),
        (lambda f: _link(f / "config.json", "/dev/zero"), "config.json, which is a link"),
        (lambda f: _link(f / "README.md", "/etc/hostname"), "README.md, which is a link"),
        (lambda f: _link(f / "loop.txt", "loop.txt"), "loop.txt, which is a link"),
        (_move_out, "members, which is a link"),
        (lambda f: _pipe(f / "members" / "weights.txt"), "weights.txt, which is a link, a pipe"),
        (lambda f: _pipe(f / "config.json"), "config.json, which is a link, a pipe"),
        (lambda f: (f / "members" / "more.json").write_text("{}"), "members/more.json, which config.json does not"),
        (lambda f: (f / "calibration.safetensors").write_text(""), "calibration.safetensors, which config.json does"),
        (lambda f: (f / "members" / ".hidden.json").write_text(""), "members/.hidden.json, which config.json does not"),
    ],
)
def test_a_folder_holds_its_listed_files_and_nothing_else(judge: Path, damage, message: str) -> None:
    damage(judge)
    with pytest.raises(ArtifactError, match=message):
        read_folder(judge)


def test_what_git_and_file_managers_leave_is_passed_over(judge: Path) -> None:
    (judge / ".git").mkdir()
    (judge / ".git" / "HEAD").write_text("ref")
    (judge / ".gitattributes").symlink_to("elsewhere")
    (judge / "LICENSE").write_text("Apache-2.0")
    assert read_folder(judge).config["name"] == "mine"


def _replaced_and_back(file: Path) -> None:
    kept, other = file.with_name(".kept"), file.with_name(".other")
    other.write_text("9 9 9")
    file.rename(kept)
    other.rename(file)
    file.unlink()
    kept.rename(file)


def _rewritten_and_back(file: Path) -> None:
    times = file.stat()
    file.write_text("9 9 9")
    file.write_text("1 2 3")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def _folder_replaced_and_back(file: Path) -> None:
    folder = file.parent
    folder.rename(folder.with_name(".kept"))
    folder.mkdir()
    folder.rmdir()
    folder.with_name(".kept").rename(folder)


@pytest.mark.parametrize("change", [_replaced_and_back, _rewritten_and_back, _folder_replaced_and_back])
def test_a_change_between_hash_and_use_is_found_though_it_was_undone(judge: Path, change) -> None:
    with pytest.raises(ArtifactError, match="was changed while it was read"), open_folder(judge):
        change(judge / "members" / "weights.txt")
    assert read_folder(judge).config["name"] == "mine"


@pytest.mark.parametrize(("name", "limit"), [("members/weights.txt", ".txt"), ("config.json", "")])
def test_a_large_file_is_refused_before_it_is_read(judge: Path, monkeypatch, name: str, limit: str) -> None:
    monkeypatch.setattr(folders, "_MOST_CONFIG", 4 << 10)
    monkeypatch.setitem(folders._MOST_BYTES, ".txt", 4 << 10)
    os.truncate(judge / name, 1 << 40)  # a terabyte without a block on the disk
    with pytest.raises(ArtifactError, match="limit of such files is 4,096" if limit else "larger than 4,096 bytes"):
        read_folder(judge)


@pytest.mark.parametrize("name", ["members/weights.txt/.", "members//weights.txt", "x.txt\0y.txt", "absent.txt"])
def test_a_listed_name_that_is_no_file_of_the_folder_is_damage(judge: Path, name: str) -> None:
    config = json.loads((judge / "config.json").read_text())
    config["files"] = {name: config["files"]["members/weights.txt"]}
    (judge / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match="which config.json does not list|cannot be read"):
        read_folder(judge)


def test_json_and_bytes_are_read_of_regular_files_up_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text("[1]")
    assert read_json(tmp_path / "one.json") == [1]
    with pytest.raises(OSError, match="larger than 2 bytes"):
        read_limited(tmp_path / "one.json", 2)
    _link(tmp_path / "link.json", tmp_path / "one.json")
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("link.json", "pipe.json", ""):
        with pytest.raises(OSError, match="symbolic link|not a regular file|[Ii]s a directory"):
            read_json(tmp_path / name)
