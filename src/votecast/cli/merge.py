"""votecast merge: the adapters of a judge merged into their base weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from votecast.cli.options import Output
from votecast.cli.screen import Bars, judge_text, print_facts


def merge(
    *, judge: str, out: Path, weights: Literal["bf16", "fp32", "nf4"] | None = None, output: Output = Output()
) -> None:
    """Merge the adapters of a judge into their base weights, checked against the unmerged judge.

    Args:
        judge: A judge folder whose members hold adapters, or a judge of a reward model, whose model is stored in its
            folder as it is held, such as in 4 bits; it is not changed.
        out: Folder to write the merged judge to.
        weights: Type of the weights; fp32 where the base is, else bf16. nf4 rounds the sums to 4 bits.
    """
    from votecast.config.extras import need
    from votecast.data.work_folder import hold_work_folder
    from votecast.judges.load import load_judge
    from votecast.judges.merge_adapters import TOLERANCE, merge_judge

    output.check(folder=out)
    for package in ("torch", "transformers", "peft"):
        need(package)
    from votecast.judges.import_checkpoints import check_apart

    if ":" not in judge:
        check_apart(out, [judge])
    loaded = load_judge(judge)
    with Bars() as bars, hold_work_folder(out, resume=False, overwrite=True) as work:
        made = merge_judge(loaded, work, weights, progress=bars.steps)
        made.save_pretrained(out, overwrite=output.overwrite)
    merged = made.notes["merged"]
    settings = {"judge": judge, "out": str(out), "weights": merged["weights"]}
    if output.write_judge(made, out, "merge", settings, {"merged": merged}):
        if merged["battles"]:  # the model of a reward judge is stored as it is
            allowed = f"at most {TOLERANCE[merged['weights']]:.0e} is allowed"
            moved = f"{merged['largest_difference']:.1e} on {merged['battles']} battles ({allowed})"
            print_facts({"largest difference": moved})
        print_facts({"weights": merged["weights"]})
        print_facts({"judge": judge_text(made), "folder": out})
