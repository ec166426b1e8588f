"""votecast export: a judge's networks as ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from votecast.cli.options import Output
from votecast.cli.screen import Bars, judge_text, print_facts, print_note


def export(*, judge: str, out: Path, json: Annotated[str | None, Parameter(name="--json")] = None) -> None:
    """Export the networks of an encoder judge to ONNX, each checked against torch.

    Args:
        judge: A judge folder, or bundled:encoder.
        out: New folder for the networks, their tokenizers and export.json, which lists their inputs and outputs.
        json: Write what was exported as JSON ("-" is standard output).
    """
    from votecast.judges.export_networks import check_exportable, export_judge
    from votecast.judges.load import judge_folder, load_judge

    output = Output(json)
    output.check(folder=out)
    check_exportable(judge_folder(judge))
    loaded = load_judge(judge)
    with Bars() as bars:
        description = export_judge(loaded, out, progress=bars.steps)
    settings = {"judge": judge, "out": str(out)}
    if output.write(description | {"folder": str(out)}, "export", settings, judge=description["judge"]):
        print_note("the files hold networks alone; templates, links and calibration are in export.json")
        print_facts({f"network {n}": one["file"] for n, one in enumerate(description["networks"])})
        print_facts({"judge": judge_text(description["judge"]), "folder": out})
