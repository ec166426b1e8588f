"""votecast estimate: what a training will take, before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from votecast.cli.options import Output, Overrides, ReadOptions, TrainFiles, TrainingOptions
from votecast.cli.screen import Bars, print_facts, print_line

if TYPE_CHECKING:
    from votecast.judges.estimate import Estimate


def estimate(
    recipe: str,
    /,
    *,
    train: TrainFiles,
    gpu: str | None = None,
    tokens_per_second: Annotated[float | None, Parameter(validator=validators.Number(gt=0))] = None,
    reading: ReadOptions = ReadOptions(),
    training: TrainingOptions = TrainingOptions(),
    output: Output = Output(),
    overrides: Overrides = None,
) -> None:
    """Estimate tokens, steps, memory, disk and hours of a training, and the settings that fit a GPU.

    Args:
        recipe: A shipped recipe or family (see votecast recipes), or the path of a YAML file.
        gpu: A card by name or memory, and how many, such as "T4 x2", A100-80 or 24GB; by default those of this machine.
        tokens_per_second: Measured speed of training on one card, for the hours.
    """
    from votecast.judges.estimate import estimate as estimate_training

    output.check()
    settings = training.settings(overrides, reading.seed)
    reader = reading.reader(overwrite=output.overwrite)
    with Bars() as bars:
        found = estimate_training(
            recipe,
            train,
            gpu=gpu,
            tokens_per_second=tokens_per_second,
            overrides=settings,
            small=training.small,
            reader=reader,
            progress=bars.steps,
        )
    options = {
        "recipe": recipe,
        "train": train if len(train) > 1 else train[0],
        "gpu": gpu,
        "overrides": settings,
        "reader": reader,
    }
    if output.write(found.to_dict(), "estimate", options):
        print_facts(describe_estimate(found))
        print_line("\nwhere this is from")
        print_facts(found.origins)


def describe_estimate(found: Estimate) -> dict[str, str]:
    """Describe an estimate, a fact a line."""
    rows = found.rows
    counts = f"{rows['read']:,} read, {rows['kept']:,} kept by cleaning"
    if found.trainings:
        word = "training" if found.trainings == 1 else "trainings"
        counts += f"; {found.trainings} {word} on {rows['trained']:,} each"
    elif found.needs_gpu:
        counts += "; the network is used as it is, and a link is fitted"
    facts = {"rows": counts}
    if found.parameters is not None:
        facts |= _describe_network(found)
    if found.hours is not None:
        facts["hours"] = _duration(found.hours)
    elif found.needs_gpu:
        facts["hours"] = "unknown: name the card with --gpu, or give --tokens-per-second"
    if not found.needs_gpu:
        facts["GPU"] = "not needed"
    if found.gpu is not None:
        facts["GPU"] = _describe_fit(found)
    return facts


def _duration(hours: float) -> str:
    """Format hours, or minutes where they are few."""
    return f"{hours:,.1f}" if hours >= 0.1 else f"{hours * 60:,.0f} minutes" if hours > 1 / 60 else "under a minute"


def _describe_network(found: Estimate) -> dict[str, str]:
    from votecast.config.machine import size_text
    from votecast.models.sizing.size_text import describe_memory

    parameters, tokens, memory, disk = found.parameters, found.tokens, found.memory, found.disk
    assert parameters is not None
    assert tokens is not None
    assert memory is not None
    assert disk is not None
    share = parameters["trained"] / parameters["all"]
    facts = {"parameters": f"{parameters['all']:,}, of which {parameters['trained']:,} are trained ({share:.3%})"}
    facts["tokens"] = (
        f"a sequence: 5 % {tokens['p05']:,.0f}, median {tokens['median']:,.0f}, 95 % {tokens['p95']:,.0f}, longest "
        f"{tokens['longest']:,}; {tokens['truncated']:.1%} of rows truncated; {tokens['all'] / 1e6:,.1f} M in all"
    )
    if (steps := found.steps) is not None:
        passes = "pass" if steps["passes"] == 1 else "passes"
        facts["steps"] = (
            f"{steps['each']:,} of {steps['rows']} rows, each in at most {steps['passes']} {passes}; "
            f"{steps['all']:,} in all"
        )
    facts["memory"] = describe_memory(memory)
    facts["disk"] = f"checkpoints {size_text(disk['checkpoints'])}, members {size_text(disk['members'])}" + (
        f", weights to download about {size_text(disk['download'])}" if disk["download"] else ""
    )
    return facts


def _describe_fit(found: Estimate) -> str:
    from votecast.config.machine import size_text
    from votecast.models.sizing.fitting_settings import option_words

    gpu, fitting = found.gpu, found.fitting
    assert gpu is not None, "asked for with a card"
    name = gpu["name"] if gpu["count"] == 1 else f"{gpu['name']} x{gpu['count']}"
    room = f"{name}, {size_text(gpu['usable'])} usable each, {gpu['precision']}"
    if gpu["fits"]:
        return f"{room}: fits"
    if fitting is None:
        return f"{room}: does not fit, and no other settings were found that do; take a card with more memory"
    return f"{room}: does not fit; fits in {size_text(fitting['peak'])} with {option_words(fitting['settings'])}"
