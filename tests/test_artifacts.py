"""Test judge folders and output files: atomic, verified, not overwritten."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from votecast import artifacts
from votecast.artifacts import (
    atomic_file,
    check_free,
    is_whole,
    read_folder,
    remove_leftovers,
    write_folder,
    write_part,
)
from votecast.errors import ArtifactError


def _write(folder: Path) -> None:
    (folder / "weights.txt").write_text("1 2 3")
    (folder / "deep").mkdir()
    (folder / "deep" / "more.json").write_text("{}")


def test_a_folder_keeps_its_settings_and_hash(tmp_path):
    made = write_folder(tmp_path / "judge", {"name": "mine"}, _write)
    found = read_folder(tmp_path / "judge")
    assert found.hash == made.hash
    assert found.config["name"] == "mine"
    assert sorted(found.config["files"]) == ["deep/more.json", "weights.txt"]


def test_folder_permissions_follow_the_umask(tmp_path):
    def private(folder: Path) -> None:
        (folder / "weights.txt").write_text("1")
        (folder / "weights.txt").chmod(0o600)

    old = os.umask(0o022)
    try:
        write_folder(tmp_path / "judge", {}, private)
    finally:
        os.umask(old)
    assert oct((tmp_path / "judge" / "weights.txt").stat().st_mode & 0o777) == "0o644"
    assert oct((tmp_path / "judge").stat().st_mode & 0o777) == "0o755"


def test_same_content_same_hash_and_other_content_another(tmp_path):
    one = write_folder(tmp_path / "one", {"name": "mine"}, _write)
    two = write_folder(tmp_path / "two", {"name": "mine"}, _write)
    other = write_folder(tmp_path / "other", {"name": "yours"}, _write)
    assert one.hash == two.hash != other.hash


def test_the_card_does_not_change_the_hash(tmp_path):
    def with_card(folder: Path) -> None:
        _write(folder)
        (folder / "README.md").write_text("# card")

    def other_card(folder: Path) -> None:
        _write(folder)
        (folder / "README.md").write_text("# another card")

    one = write_folder(tmp_path / "one", {}, with_card)
    assert one.hash == write_folder(tmp_path / "two", {}, other_card).hash


def test_the_card_may_be_edited(tmp_path):
    def with_card(folder: Path) -> None:
        _write(folder)
        (folder / "README.md").write_text("# card")

    made = write_folder(tmp_path / "judge", {}, with_card)
    (tmp_path / "judge" / "README.md").write_text("# card, with remarks of mine")
    assert read_folder(tmp_path / "judge").hash == made.hash


def test_a_failing_writer_leaves_nothing(tmp_path):
    def fails(folder: Path) -> None:
        _write(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(ArtifactError, match="No space left.*nothing was left behind"):
        write_folder(tmp_path / "judge", {}, fails)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_replacement_keeps_the_old_folder(tmp_path, monkeypatch):
    write_folder(tmp_path / "judge", {"name": "old"}, _write)
    real, calls = Path.replace, []

    def second_rename_fails(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())  # a system that cannot swap two folders
    monkeypatch.setattr(Path, "replace", second_rename_fails)
    with pytest.raises(ArtifactError):
        write_folder(tmp_path / "judge", {"name": "new"}, _write, overwrite=True)
    monkeypatch.undo()
    assert read_folder(tmp_path / "judge").config["name"] == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["judge"]


def test_overwriting_replaces_a_judge_but_never_another_folder(tmp_path):
    write_folder(tmp_path / "judge", {"name": "old"}, _write)
    with pytest.raises(ArtifactError, match="--overwrite"):
        write_folder(tmp_path / "judge", {"name": "new"}, _write)
    write_folder(tmp_path / "judge", {"name": "new"}, _write, overwrite=True)
    assert read_folder(tmp_path / "judge").config["name"] == "new"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_text("precious")
    with pytest.raises(ArtifactError, match="not a judge"):
        write_folder(tmp_path / "photos", {}, _write, overwrite=True)
    assert (tmp_path / "photos" / "one.jpg").read_text() == "precious"


def test_files_that_can_run_code_are_refused(tmp_path):
    def unsafe(folder: Path) -> None:
        (folder / "weights.pkl").write_bytes(b"x")

    with pytest.raises(ArtifactError, match=r"weights\.pkl.*holds only"):
        write_folder(tmp_path / "judge", {}, unsafe)


def _edit(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "weights.txt").write_text("1 2 4"), "weights.txt has changed"),
        (lambda f: (f / "weights.txt").unlink(), "weights.txt cannot be read"),
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json cannot be read"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), "config.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "holds list"),
        (lambda f: (f / "config.json").write_text('{"kind": "bert"}'), "kind 'bert'"),
        (lambda f: _edit(f, format_version=99), "upgrade votecast"),
        (lambda f: _edit(f, format_version="1"), "format version '1'"),
        (lambda f: _edit(f, files=None), "does not list its files"),
        (lambda f: _edit(f, files={"../../etc/passwd": "0"}), "lists the file"),
        (lambda f: _edit(f, files={"/etc/passwd": "0"}), "lists the file"),
        (lambda f: _edit(f, files={"run.pkl": "0"}), "holds only"),
        (lambda f: _edit(f, name="renamed"), "does not match its hash"),
    ],
)
def test_damage_is_one_clear_error(tmp_path, damage, message):
    write_folder(tmp_path / "judge", {"name": "mine"}, _write)
    damage(tmp_path / "judge")
    with pytest.raises(ArtifactError, match=message) as caught:
        read_folder(tmp_path / "judge")
    assert str(tmp_path / "judge") in str(caught.value)


def test_a_missing_folder_and_a_file_are_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for name, message in (("absent", "absent not found"), ("file", "file is not a folder")):
        with pytest.raises(ArtifactError, match=message):
            read_folder(tmp_path / name)


def test_atomic_file_is_whole_or_absent(tmp_path):
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "out.csv") as part:
        part.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_file(tmp_path / "new" / "out.csv") as part:
        part.write_text("whole")
    assert (tmp_path / "new" / "out.csv").read_text() == "whole"
    with pytest.raises(ArtifactError, match="--overwrite"), atomic_file(tmp_path / "new" / "out.csv"):
        pass


def test_an_output_inside_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="cannot be written"), atomic_file(tmp_path / "file" / "out.csv"):
        pass


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(ArtifactError, match="cannot be an output"):
        check_free(tmp_path / name)


def test_check_free_changes_nothing_at_a_free_path(tmp_path):
    check_free(tmp_path / "free")
    assert not (tmp_path / "free").exists()


def test_an_interrupted_process_leaves_no_half_file(tmp_path):
    program = """
        import sys, time
        from votecast.artifacts import atomic_file
        with atomic_file(sys.argv[1]) as part:
            part.write_text("half")
            print("writing", flush=True)
            time.sleep(60)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "out.csv")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    child.wait(timeout=30)
    child.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_permission_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(ArtifactError, match="no permission for"):
        check_free(tmp_path / "deep" / "judge")


def test_a_part_is_whole_until_a_file_of_it_changes(tmp_path):
    for content in ("one", "two"):
        write_part(tmp_path / "part", lambda folder, text=content: (folder / "rows.txt").write_text(text) and None)
        assert is_whole(tmp_path / "part")
    assert (tmp_path / "part" / "rows.txt").read_text() == "two"
    (tmp_path / "part" / "rows.txt").write_text("three")
    assert not is_whole(tmp_path / "part") and not is_whole(tmp_path / "absent")
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


def test_a_failing_block_leaves_no_folder(tmp_path):
    with pytest.raises(ArtifactError, match="disk full.*finished parts are kept"):
        write_part(tmp_path / "part", _disk_full)
    assert list(tmp_path.iterdir()) == []


def _disk_full(folder: Path) -> None:
    (folder / "rows.txt").write_text("half")
    raise OSError("disk full")


def test_a_file_that_appears_meanwhile_is_left_alone(tmp_path):
    path = tmp_path / "out.csv"
    with pytest.raises(ArtifactError, match="appeared while.*--overwrite"), atomic_file(path) as part:
        part.write_text("ours")
        path.write_text("theirs")
    assert (tmp_path / "out.csv").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_file_that_appears_where_there_are_no_hard_links_is_left_alone(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with atomic_file(tmp_path / "one.csv") as part:
        part.write_text("ours")
    with pytest.raises(ArtifactError, match="appeared"), atomic_file(tmp_path / "out.csv"):
        (tmp_path / "out.csv").write_text("theirs")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one.csv": "ours", "out.csv": "theirs"}


def test_a_folder_that_appears_meanwhile_is_left_alone(tmp_path):
    def slow(folder: Path) -> None:
        _write(folder)
        (tmp_path / "judge").mkdir()
        (tmp_path / "judge" / "mine.txt").write_text("theirs")

    with pytest.raises(ArtifactError, match="appeared while it was being written"):
        write_folder(tmp_path / "judge", {}, slow)
    assert (tmp_path / "judge" / "mine.txt").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["judge"]


def test_devices_pipes_and_folders_are_no_outputs(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for path in ("/dev/null", tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(ArtifactError, match="is a device, pipe or socket"):
            check_free(path, overwrite=True)
    with pytest.raises(ArtifactError, match="is a folder; name a file"), atomic_file(tmp_path, overwrite=True):
        pass
    with pytest.raises(ArtifactError, match="is a device"), atomic_file(tmp_path / "out", overwrite=True) as part:
        part.write_text("ours")
        os.mkfifo(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out", "pipe"]


KILLED = """
    import os, signal, sys
    from votecast import artifacts
    with getattr(artifacts, sys.argv[2])(sys.argv[1], overwrite=True) as part:
        (part / "a.txt" if part.is_dir() else part).write_text("half")
        if sys.argv[3] == "waits":
            print("writing", flush=True)
            signal.pause()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("kind", "name"), [("atomic_file", "out.csv"), ("atomic_folder", "out")])
def test_what_a_killed_process_left_is_removed_and_what_a_live_one_writes_is_kept(tmp_path, kind, name):
    words = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / name), kind]
    live = subprocess.Popen([*words, "waits"], stdout=subprocess.PIPE)
    try:
        assert live.stdout is not None
        live.stdout.readline()
        subprocess.run([*words, "dies"], check=False)
        hidden = sorted(path.name for path in tmp_path.iterdir())
        assert len(hidden) == 2
        with getattr(artifacts, kind)(tmp_path / name) as part:
            (part / "a.txt" if part.is_dir() else part).write_text("whole")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([hidden[-1], name])
    finally:
        live.kill()
        live.wait()
        live.stdout.close()
    remove_leftovers(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_kill_after_the_link_leaves_the_finished_output(tmp_path):
    """The hidden name is then a second name of the output, which removing it must not empty."""
    with atomic_file(tmp_path / "out.csv") as part:
        part.write_text("whole")
    os.link(tmp_path / "out.csv", part)
    with atomic_file(tmp_path / "out.csv", overwrite=True) as again:
        assert again == part and (tmp_path / "out.csv").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_judge_is_in_place_at_every_moment_of_its_replacement(tmp_path, monkeypatch):
    write_folder(tmp_path / "judge", {"name": "old"}, _write)
    seen = []
    for name in ("rename", "replace", "rmdir", "unlink"):
        real = getattr(os, name)

        def watched(*given, real=real, **options):
            seen.append((tmp_path / "judge" / "config.json").is_file())
            return real(*given, **options)

        monkeypatch.setattr(os, name, watched)
    write_folder(tmp_path / "judge", {"name": "new"}, _write, overwrite=True)
    monkeypatch.undo()
    assert seen and all(seen)
    assert read_folder(tmp_path / "judge").config["name"] == "new"


def test_a_judge_that_a_kill_left_aside_is_put_back(tmp_path):
    """Only where a filesystem cannot swap two folders."""
    write_folder(tmp_path / "judge", {"name": "old"}, _write)
    (tmp_path / "judge").rename(tmp_path / ".judge.old")
    remove_leftovers(tmp_path / "judge")
    assert read_folder(tmp_path / "judge").config["name"] == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["judge"]
