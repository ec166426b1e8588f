"""votecast merge: the adapters of a judge added to the weights they stand beside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from votecast.cli.options import JsonPath
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.screen import cite, facts


def merge(
    *,
    judge: str,
    out: Path,
    weights: Literal["bf16", "fp32"] | None = None,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Make a judge on adapters one that holds all its weights, checked against the unmerged.

    Args:
        judge: A judge folder whose members hold adapters; left as it is.
        out: Folder to write the merged judge to.
        weights: What the weights are kept in; fp32 where the base is, else bf16. A base of 4 or 8 bits is taken as it
            stands.
        json: Write what was merged, and the largest difference of a probability, as JSON ("-" is standard output).
        overwrite: Replace an existing judge folder.
    """
    from votecast.artifacts import check_free
    from votecast.config.extras import need
    from votecast.judges.load import load_judge
    from votecast.judges.merge_adapters import TOLERANCE, merge_judge

    check_outputs(json, settings_of_json(json), overwrite=overwrite)
    check_free(out, overwrite=overwrite, is_folder=True)
    for package in ("torch", "transformers", "peft"):
        need(package)
    from votecast.judges.import_checkpoints import check_apart

    if ":" not in judge:
        check_apart(out, [judge])
    loaded = load_judge(judge)
    with Bars() as bars:
        made = merge_judge(loaded, weights, progress=bars.steps)
        made.save_pretrained(out, overwrite=overwrite)
    told, cited = made.notes["merged"], {"name": made.name, "hash": made.hash}
    if json is not None:
        write_json({"merged": told, "judge": cited | {"folder": str(out)}}, json, overwrite=overwrite)
        write_settings(json, "merge", {"judge": judge, "out": str(out), "weights": told["weights"]}, judge=cited)
    if json == STANDARD:
        return
    allowed = TOLERANCE[told["weights"]]
    moved = f"{told['largest_difference']:.1e} on {told['battles']} battles (at most {allowed:.0e} is allowed)"
    facts({"weights": told["weights"], "largest difference": moved})
    facts({"judge": cite(cited), "folder": out})
