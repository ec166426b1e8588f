"""Generate the reference pages of the docs when mkdocs builds them.

mkdocs.yml names this file under `hooks`; `make docs` builds the site. Nothing generated is committed:
the command line comes from its functions, the API from `votecast.__all__`, the settings from their classes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

API = {
    "Votes": ["read_votes", "iter_votes", "inspect_votes", "write_votes", "simulate", "Battles", "Battle"],
    "Judges": ["load_judge", "train", "TrainedJudge", "calibrate_judge", "ensemble", "cascade", "Judge"],
    "Predictions": ["predict_file", "rerank", "CLASSES", "Probabilities"],
    "Evaluation": ["evaluate", "audit_judge"],
    "Client": ["Client", "AsyncClient"],
}
"""Sections of the page about the Python API; every other public name comes under "Errors" or "More"."""


COMMAND_LINE = """# Command line

Generated from the commands; `votecast VERB --help` prints the same on a terminal. Results go to standard output,
progress and warnings to standard error. Exit codes: 0 success, 1 failure, 2 wrong usage.

"""

PYTHON_API = """# Python API

Everything public: the names of `votecast`, and `votecast.testing.check_judge`. Other modules can change
between versions.
"""

RECIPES = """# Recipes and settings

A recipe is a YAML file of settings for one family of judges. `votecast train RECIPE` takes the name of a shipped
recipe, the name of a family, or the path of a file of your own. Override a setting by its dotted key:
`votecast train baseline --folds.n 3 ...`, or in Python `overrides={"folds.n": 3}`. An unknown key is an error that
names the nearest known one. `votecast recipes NAME` prints the settings of a recipe on a terminal.

| recipe | family | what it is |
|---|---|---|
"""

RECIPE = """{description}. Family `{family}`. **Bold** values are set by the recipe; all others are the defaults of the
family. Systems 1 to 5 are explained in [Recipes and settings](../recipes.md)."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a page for each recipe to the navigation."""
    from votecast.recipes import recipe_names

    for section in config.nav or []:
        for item in section.get("Reference", []) if isinstance(section.get("Reference"), list) else []:
            if "Recipes and settings" in item:
                pages = [{name: f"reference/recipes/{name}.md"} for name in recipe_names()]
                item["Recipes and settings"] = ["reference/recipes.md", *pages]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those under docs."""
    from mkdocs.structure.files import File

    for path, content in generated_pages().items():
        files.append(File.generated(config, path, content=content))
    return files


def generated_pages() -> dict[str, str]:
    """Return the generated pages: Markdown by path within docs."""
    return {
        "reference/command-line.md": command_line(),
        "reference/python.md": python_api(),
        **recipes(),
        "contributing.md": repository_page("CONTRIBUTING.md"),
        "changelog.md": repository_page("CHANGELOG.md"),
    }


def command_line() -> str:
    """Describe every verb and its options, from the functions of `votecast.cli`."""
    from votecast.cli.app import build
    from votecast.cli.logs import HELP

    text = build().generate_docs().replace("```console", "```text").replace("--dotted.key STR...", "--DOTTED.KEY VALUE")
    verbs = re.split(r"^(?=## votecast )", text, flags=re.MULTILINE)[1:]
    return COMMAND_LINE + f"{HELP}\n\n" + "".join(map(_escape, verbs))


def python_api() -> str:
    """Place every public name, for mkdocstrings to describe from its docstring."""
    import votecast

    errors = [name for name in votecast.__all__ if name.endswith("Error")]
    placed = {"__version__", *errors, *(name for names in API.values() for name in names)}
    more = [name for name in votecast.__all__ if name not in placed]
    sections = API | {"Errors": errors, "More": more, "Testing": ["testing.check_judge"]}
    parts = [PYTHON_API]
    for title, names in sections.items():
        parts += [f"\n## {title}\n"] if names else []
        parts += [f"\n::: votecast.{name}\n    options: {{heading_level: 3}}\n" for name in names]
    return "".join(parts)


def recipes() -> dict[str, str]:
    """Describe every setting of every recipe, from the classes of settings."""
    from votecast.recipes import list_recipes

    listed = list_recipes()
    rows = [f"| [{r['name']}](recipes/{r['name']}.md) | `{r['family']}` | {r['description']} |\n" for r in listed]
    pages = {f"reference/recipes/{r['name']}.md": recipe(r["name"], r["family"], r["description"]) for r in listed}
    return {"reference/recipes.md": RECIPES + "".join(rows)} | pages


def recipe(name: str, family: str, description: str) -> str:
    """Describe every setting of one recipe."""
    from votecast.config.describe import describe_settings
    from votecast.judges.recipe import load_recipe

    groups: dict[str, list[str]] = {}
    for row in describe_settings(load_recipe(name)):
        if row.name in {"name", "family", "description"}:
            continue
        value = f"`{_yaml(row.value)}`" if row.value == row.default else f"**`{_yaml(row.value)}`**"
        facts = [row.type, row.allowed, "required" if row.required else f"default {_yaml(row.default)}"]
        lines = groups.setdefault(row.name.rpartition(".")[0] or "top level", [])
        lines.append(f"- `{row.name}`: {value} *({_escape('; '.join(filter(None, facts)))})*  ")
        lines.append(f"    {_escape(row.meaning)}")
    parts = [f"# {name}\n", RECIPE.format(description=description, family=family)]
    for group, lines in groups.items():
        parts += [f"\n## {group}\n", *lines]
    return "\n".join(parts) + "\n"


def repository_page(name: str) -> str:
    """Return a root page of the repository with its links adapted."""
    text = (ROOT / name).read_text("utf-8")
    text = re.sub(r"\]\(docs/([^)]+\.md[^)]*)\)", r"](\1)", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)(?![\w/-]+\.md[)#])([^)]+)\)", r"\1 (`\2`)", text)


def _yaml(value: Any) -> str:
    """Write a value as it stands in a recipe."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if value != "" else "''"


def _escape(text: str) -> str:
    """Keep `<name>` outside of code from becoming HTML."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)
