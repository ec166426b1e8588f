"""Test what no example runs: commands, links and reference pages."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import docs_hooks
import readme

import votecast
from votecast.cli.app import VERBS, build
from votecast.config.describe import describe_settings
from votecast.judges.recipe import load_recipe
from votecast.recipes import recipe_names

DOCS = readme.ROOT / "docs"
PROSE = readme.PAGES


def options(verb: str) -> set[str]:
    """Return the options of a verb."""
    return {name for argument in build()[verb].assemble_argument_collection() for name in argument.names}


def unexecuted(page: Path) -> list[list[str]]:
    """Return the words of every command that is not executed."""
    bash = "".join(block for kind, _, block in readme.blocks(page.read_text("utf-8")) if kind == "bash")
    commands = re.findall(r"^(?:.* -m )?votecast (.*)$", bash.replace("\\\n", " "), re.MULTILINE)
    return [shlex.split(command, comments=True) for command in commands]


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_commands_that_are_not_executed_use_verbs_and_options_that_exist(page: Path) -> None:
    for verb, *words in unexecuted(page):
        assert verb in VERBS, f"{page}: votecast {verb}"
        flags = [word.split("=")[0] for word in words if word.startswith("--")]
        plain = {flag for flag in flags if "." not in flag}
        assert plain <= options(verb), f"{page}: votecast {verb} {plain - options(verb)}"
        dotted = {flag[2:]: words[words.index(flag) + 1] for flag in flags if "." in flag}
        if dotted:
            load_recipe(words[0] if verb == "train" else "baseline", dotted)


def test_the_two_commands_come_first() -> None:
    first = re.search(r"```\n(.*?)```", readme.README.read_text("utf-8"), re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first[1].splitlines()] == ["make demo", "make test"]


def test_the_readme_is_short() -> None:
    assert len(readme.README.read_text("utf-8").splitlines()) <= 260


def test_settings_in_the_table_of_the_guide_exist() -> None:
    page = (DOCS / "how-to" / "train-on-a-laptop.md").read_text("utf-8")
    table = page.split("| setting | values, the default first |")[1].split("\n\n")[0]
    tried = 0
    for names, values in re.findall(r"^\| (`--.*?) \| (.*) \|$", table, re.MULTILINE):
        for name in re.findall(r"--([a-z_]+(?:\.[a-z_]+)?)(?=`)", names):
            for value in re.findall(r"`(\w+)`", values):
                load_recipe("baseline", {name: value, "folds.column": "source"})
                tried += 1
    assert tried == 25


def test_links_and_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (readme.ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    generated = {str((DOCS / name).resolve()) for name in docs_hooks.generated_pages()}
    for page in PROSE:
        text = page.read_text("utf-8")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            target = (page.parent / link).resolve()
            assert target.exists() or str(target) in generated, f"{page.name}: {link}"
        assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= set(targets)


def test_files_that_contributing_names_exist() -> None:
    text = (readme.ROOT / "CONTRIBUTING.md").read_text("utf-8")
    roots = (readme.ROOT, readme.ROOT / "src" / "votecast", readme.ROOT / "src" / "votecast" / "recipes")
    for name in re.findall(r"`([\w/.]+\.(?:py|yaml))`", text):
        assert "NAME" in name or any((root / name).exists() for root in roots), name


def test_every_page_is_in_the_navigation_and_in_llms_txt() -> None:
    nav = str(yaml.safe_load((readme.ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    listed = (DOCS / "llms.txt").read_text("utf-8")
    for page in DOCS.rglob("*.md"):
        name = str(page.relative_to(DOCS))
        assert f"'{name}'" in nav, name
        assert name == "index.md" or f"({name.removesuffix('.md')}.html)" in listed, name


def test_the_reference_has_every_verb_name_recipe_and_setting() -> None:
    pages = docs_hooks.generated_pages()
    assert all(f"## votecast {verb}\n" in pages["reference/command-line.md"] for verb in VERBS)
    assert all(
        f"votecast.{name}\n" in pages["reference/python.md"] for name in votecast.__all__ if name != "__version__"
    )
    for name in recipe_names():
        page = pages[f"reference/recipes/{name}.md"]
        assert all(f"`{row.name}`" in page for row in describe_settings(load_recipe(name)) if "." in row.name)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings", reason="make docs installs what builds the site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=readme.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = [page.read_text("utf-8") for page in tmp_path.rglob("*.html")]
    outside = {
        found for text in pages for found in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', text)
    }
    assert not outside, "the site loads nothing from elsewhere"
