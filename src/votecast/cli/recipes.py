"""votecast recipes: the recipes, every setting of one, and its learning rate."""

from __future__ import annotations

from pathlib import Path

from votecast.cli.options import Output, Overrides, parse_overrides
from votecast.cli.screen import print_line, print_prose, print_table
from votecast.errors import ConfigError


def recipes(
    recipe: str | None = None,
    /,
    *,
    plot: Path | None = None,
    accelerate: str | None = None,
    output: Output = Output(),
    overrides: Overrides = None,
) -> None:
    """List the recipes, or show every setting of one with its meaning, type and default.

    Args:
        recipe: A shipped recipe or family, or the path of a YAML file.
        plot: Draw the learning rate of the recipe over the epochs to this file: .svg, .png or .pdf.
        accelerate: Print the path of this file for accelerate launch --config_file: deepspeed_zero2, deepspeed_zero3,
            fsdp, multi_cpu or multi_gpu.
    """
    from votecast.recipes import launch_names, launch_path, list_recipes

    if accelerate is not None:
        if recipe is not None or plot is not None or output.json is not None or overrides:
            raise ConfigError("--accelerate NAME prints a path and nothing else; remove the other options")
        if accelerate not in launch_names():
            allowed = ", ".join(launch_names())
            raise ConfigError(f"there is no file {accelerate!r} for accelerate; allowed are {allowed}")
        print_line(str(launch_path(accelerate)))
        return
    if recipe is None and (plot is not None or overrides):
        raise ConfigError("--plot and overrides need a recipe, as in votecast recipes siamese_keras --plot rate.svg")
    output.check(plot, settings=False)
    if recipe is not None:
        _show_recipe(recipe, plot, parse_overrides(overrides), output)
        return
    found = list_recipes()
    if output.write({"recipes": found}):
        rows = [
            [entry["name"], entry["family"], "--small" if entry["small"] else "", entry["description"]]
            for entry in found
        ]
        print_table(["recipe", "family", "small form", "description"], rows, text_columns=4)


def _show_recipe(recipe: str, plot: Path | None, overrides: dict[str, str], output: Output) -> None:
    from votecast.config.describe import describe_settings
    from votecast.judges.recipe import load_recipe

    settings = load_recipe(recipe, overrides)
    if plot is not None:
        from votecast.models.registry import family

        family(settings.family).plot_schedule(settings.model, plot, overwrite=output.overwrite)
        print_line(f"the learning rate of {settings.name}: {plot}")
        return
    found = list(describe_settings(settings))
    if not output.write({"recipe": settings.name, "settings": [vars(setting) for setting in found]}):
        return
    print_line(f"{settings.name}, of the family {settings.family}; override with --KEY VALUE\n")
    for setting in found:
        default = "required" if setting.required else f"default {setting.default}"
        changed = "" if setting.value == setting.default else f", here {setting.value}"
        allowed = f"; {setting.allowed}" if setting.allowed else ""
        print_prose(f"{setting.name} ({setting.type}{allowed}; {default}{changed})", indent=4)
        print_prose(f"    {setting.meaning}", indent=4)
