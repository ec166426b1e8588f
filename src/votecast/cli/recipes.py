"""votecast recipes: what can be trained by name."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, write_json
from votecast.cli.screen import table


def recipes(*, json: JsonPath = None, overwrite: Annotated[bool, Parameter(negative=())] = False) -> None:
    """List the recipes that ship with votecast.

    Args:
        json: Write the list as JSON ("-" is standard output).
        overwrite: Replace an existing file.
    """
    from votecast.recipes import list_recipes

    check_outputs(json, overwrite=overwrite)
    found = list_recipes()
    if json is not None:
        write_json({"recipes": found}, json, overwrite=overwrite)
    if json != "-":
        rows = [
            [entry["name"], entry["family"], "--small" if entry["small"] else "", entry["description"]]
            for entry in found
        ]
        table(["recipe", "family", "small form", "what it is"], rows, text_columns=4)
