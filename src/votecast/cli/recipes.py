"""votecast recipes: what can be trained by name, and how its learning rate runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, write_json
from votecast.cli.screen import say, table
from votecast.cli.train import parse_overrides
from votecast.cli.words import OVERRIDE
from votecast.errors import ConfigError


def recipes(
    recipe: str | None = None,
    /,
    *,
    plot: Path | None = None,
    accelerate: str | None = None,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    overrides: Annotated[list[str] | None, Parameter(name=OVERRIDE, negative=())] = None,
) -> None:
    """List the recipes that ship with votecast, draw the learning rate of one, or find a file for accelerate launch.

    Args:
        recipe: The recipe whose learning rate is drawn, or the path of a YAML file.
        plot: Draw its learning rate over the epochs to this file: .svg, .png or .pdf.
        accelerate: Print where this file for accelerate launch --config_file lies: deepspeed_zero2, deepspeed_zero3,
            fsdp, multi_cpu or multi_gpu.
        json: Write the list as JSON ("-" is standard output).
        overwrite: Replace an existing file.
        overrides: Override any setting of the recipe by its dotted key, such as --model.training.epochs 5.
    """
    if accelerate is not None:
        if recipe is not None or plot is not None or json is not None or overrides:
            raise ConfigError("--accelerate NAME prints a path and nothing else; leave the other words away")
        say(str(_launch_file(accelerate)))
        return
    if (recipe is None) != (plot is None) or (recipe is None and overrides):
        raise ConfigError(
            "a recipe and --plot go together: votecast recipes siamese_keras --plot rate.svg draws its learning rate; "
            "votecast recipes alone lists what there is"
        )
    check_outputs(json, plot, overwrite=overwrite)
    if recipe is not None and plot is not None:
        _draw(recipe, plot, overrides or [], overwrite=overwrite)
    if recipe is None or json is not None:
        _list(json, overwrite=overwrite)


def _launch_file(name: str) -> Path:
    from votecast.recipes import launch_names, launch_path

    if name not in launch_names():
        raise ConfigError(f"there is no file {name!r} for accelerate; allowed are {', '.join(launch_names())}")
    return launch_path(name)


def _draw(recipe: str, plot: Path, overrides: list[str], *, overwrite: bool) -> None:
    from votecast.judges.recipe import load_recipe
    from votecast.models.registry import family

    settings = load_recipe(recipe, parse_overrides(overrides))
    family(settings.family).plot_schedule(settings.model, plot, overwrite=overwrite)
    say(f"the learning rate of {settings.name}: {plot}")


def _list(json: str | None, *, overwrite: bool) -> None:
    from votecast.recipes import list_recipes

    found = list_recipes()
    if json is not None:
        write_json({"recipes": found}, json, overwrite=overwrite)
    if json != "-":
        rows = [
            [entry["name"], entry["family"], "--small" if entry["small"] else "", entry["description"]]
            for entry in found
        ]
        table(["recipe", "family", "small form", "what it is"], rows, text_columns=4)
