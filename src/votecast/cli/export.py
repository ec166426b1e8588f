"""votecast export: a judge's networks as ONNX files."""

from __future__ import annotations

from pathlib import Path

from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.screen import cite, facts, remark


def export(*, judge: str, out: Path, json: JsonPath = None) -> None:
    """Write the networks of a judge as ONNX files, each checked against torch.

    Args:
        judge: A judge folder, or bundled:encoder.
        out: New folder for the networks, their tokenizers and export.json, which says what they read and give.
        json: Write what was exported as JSON ("-" is standard output).
    """
    from votecast.artifacts import check_free
    from votecast.judges.export_networks import export_judge
    from votecast.judges.load import load_judge

    check_outputs(json, settings_of_json(json), overwrite=False)
    check_free(out, is_folder=True)
    loaded = load_judge(judge)
    with Bars() as bars:
        description = export_judge(loaded, out, progress=bars.steps)
    if json is not None:
        write_json(description | {"folder": str(out)}, json, overwrite=False)
        write_settings(json, "export", {"judge": judge, "out": str(out)}, judge=description["judge"])
    if json != "-":
        remark("the files hold networks alone: templates, links and calibration are told in export.json")
        networks = description["networks"]
        facts({f"network {n}": one["file"] for n, one in enumerate(networks)})
        facts({"judge": cite(description["judge"]), "folder": out})
