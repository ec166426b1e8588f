"""votecast simulate: an arena whose true probabilities are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, settings_path, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.screen import facts


def simulate(
    *,
    rows: Annotated[int, Parameter(validator=validators.Number(gte=1))],
    out: Path,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    truth: Path | None = None,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write votes of an arena whose true probabilities are known.

    Args:
        rows: Number of votes.
        out: File to write; its ending chooses csv (in the LMSYS format), parquet, jsonl or arrow.
        seed: Seed of everything random.
        truth: Where the true probabilities go; by default beside the output.
        json: Write a summary as JSON ("-" is standard output).
        overwrite: Replace existing outputs.
    """
    from votecast.data.simulation import write_simulation

    check_outputs(out, settings_path(out), json, overwrite=overwrite)
    with Bars() as bars:
        summary = write_simulation(out, rows, seed, truth=truth, overwrite=overwrite, progress=bars.rows)
    write_settings(out, "simulate", {"rows": rows, "seed": seed})
    if json is not None:
        write_json(summary, json, overwrite=overwrite)
    if json != "-":
        facts(summary)
