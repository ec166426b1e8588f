"""The README's commands run, and print what it says they print."""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import readme

from votecast.judges.recipe import load_recipe

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?![0-9a-f]*[a-f])")
_HASH = re.compile(r"\b[0-9a-f]{12}(?:[0-9a-f]{52})?\b")


def skeleton(text: str) -> str:
    """Output without what may differ between machines: numbers, hashes, the width of columns."""
    without = _NUMBER.sub("#", _HASH.sub("HASH", text))
    return "\n".join(" ".join(line.split()) for line in without.splitlines())


def names(text: str) -> list[str]:
    """The first word of every line."""
    return [line.split()[0] for line in text.splitlines()]


def numbers(text: str) -> list[float]:
    """The numbers of an output, in order."""
    return [float(found.replace(",", "")) for found in _NUMBER.findall(_HASH.sub("HASH", text))]


@pytest.mark.slow
def test_the_readme_shows_what_its_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = readme.README.read_text("utf-8")
    verbs = set()
    for block in readme.blocks(text):
        for shown in block:
            output = readme.run(shown.command)
            verbs.add(shown.command.split()[1])
            if shown.command.startswith("votecast env"):  # the machine of whoever wrote the README
                assert names(output) == names(shown.output)
                continue
            assert skeleton(output) == skeleton(shown.output), shown.command
            assert numbers(output) == pytest.approx(numbers(shown.output), rel=0.2, abs=0.05), shown.command
    core = {"simulate", "inspect", "train", "predict", "evaluate", "compare", "convert", "recipes", "env"}
    assert verbs == core | {"calibrate", "ensemble", "report", "rank", "decide"}
    examples = doctest.testfile(str(readme.README), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert examples.attempted > 4
    assert examples.failed == 0


def test_the_two_commands_come_first() -> None:
    text = readme.README.read_text("utf-8")
    first = re.search(r"```\n(.*?)```", text, re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first[1].splitlines()] == ["make demo", "make test"]


def test_every_setting_the_readme_names_is_one() -> None:
    table = readme.README.read_text("utf-8").split("| setting | values, the default first |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (`--.*?) \| (.*) \|$", table, re.MULTILINE)
    tried = 0
    for names, values in rows:
        for name in re.findall(r"--([a-z_]+(?:\.[a-z_]+)?)(?=`)", names):
            for value in re.findall(r"`(\w+)`", values):
                load_recipe("baseline", {name: value, "folds.column": "source"})
                tried += 1
    assert tried == 25


def test_files_and_make_targets_that_documents_name_exist() -> None:
    root = readme.README.parent
    targets = re.findall(r"^([a-z]+):", (root / "Makefile").read_text("utf-8"), re.MULTILINE)
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (root / name).read_text("utf-8")
        assert all((root / link).exists() for link in re.findall(r"\]\(([^)#:]+)\)", text))
        assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= set(targets)
