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

    intro = (
        "# Command line\n\n"
        "Generated from the commands. `votecast VERB --help` prints the same on a terminal; exit codes are 0 for success, "
        "1 for a failure, 2 for wrong usage. Progress and warnings go to standard error, results to standard output.\n\n"
    )
    text = build().generate_docs()
    verbs = re.split(r"^(?=## votecast )", text, flags=re.MULTILINE)[1:]
    verbs = [verb.replace("```console", "```text").replace("--dotted.key STR...", "--DOTTED.KEY VALUE") for verb in verbs]
    return intro + "".join(map(_escape, verbs))


def python_api() -> str:
    """Place every public name, for mkdocstrings to describe from its docstring."""
    import votecast

    errors = [name for name in votecast.__all__ if name.endswith("Error")]
    placed = {name for names in API.values() for name in names} | set(errors)
    more = [name for name in votecast.__all__ if name not in placed and name != "__version__"]
    sections = API | {"Errors": errors} | ({"More": more} if more else {})
    parts = [
        "# Python API\n\nEverything public: the names of `votecast`, and `votecast.testing.check_judge`. "
        "Other modules can change between versions.\n"
    ]
    for title, names in sections.items():
        parts.append(f"\n## {title}\n")
        parts += [f"\n::: votecast.{name}\n    options: {{heading_level: 3}}\n" for name in names]
    parts.append("\n## Testing\n\n::: votecast.testing.check_judge\n    options: {heading_level: 3}\n")
    return "".join(parts)


def recipes() -> dict[str, str]:
    """Describe every setting of every recipe, from the classes of settings."""
    from votecast.config.describe import describe_settings
    from votecast.judges.recipe import load_recipe
    from votecast.recipes import list_recipes

    listed = list_recipes()
    lines = [
        "# Recipes and settings\n",
        "A recipe is a YAML file of settings for one family of judges. `votecast train RECIPE` takes the name of a shipped recipe, "
        "the name of a family, or the path of a file of your own. Override a setting by its dotted key: "
        "`votecast train baseline --folds.n 3 ...`, or in Python `overrides={\"folds.n\": 3}`. "
        "An unknown key is an error that names the nearest known one.\n",
        "| recipe | family | what it is |\n|---|---|---|",
        *(f"| [{each['name']}](recipes/{each['name']}.md) | `{each['family']}` | {each['description']} |" for each in listed),
        "",
    ]
    pages = {"reference/recipes.md": "\n".join(lines)}
    for each in listed:
        name = each["name"]
        lines = [
            f"# {name}\n",
            f"{each['description']}. Family `{each['family']}`. "
            "**Bold** values are set by the recipe; all others are the defaults of the family.",
        ]
        group = None
        for row in describe_settings(load_recipe(name)):
            if row.name in {"name", "family", "description"}:
                continue
            if (inner := row.name.rpartition(".")[0]) != group:
                lines.append(f"\n## {inner or 'top level'}\n")
                group = inner
            value = f"`{_yaml(row.value)}`" if row.value == row.default else f"**`{_yaml(row.value)}`**"
            facts = [row.type, row.allowed, "required" if row.required else f"default {_yaml(row.default)}"]
            lines.append(
                f"- `{row.name}`: {value} *({_escape('; '.join(filter(None, facts)))})*  \n    {_escape(row.meaning)}"
            )
        pages[f"reference/recipes/{name}.md"] = "\n".join(lines) + "\n"
    return pages


def repository_page(name: str) -> str:
    """Return a page of the repository's root, its links made to fit the site."""
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
