"""votecast compare: the forecast for two answers given on the command line."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.reading import show_cut
from votecast.cli.screen import cite, facts, say, table

SHOWN = {"a": "A wins", "b": "B wins", "tie": "tie"}

Turns = Annotated[list[str], Parameter(negative=(), consume_multiple=False)]


def compare(
    *,
    prompt: Turns,
    a: Turns,
    b: Turns,
    judge: str = "default",
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Forecast the vote between two answers given on the command line.

    Args:
        prompt: The prompt; given several times, the turns of a conversation.
        a: The first answer, one for each turn.
        b: The second answer, one for each turn.
        judge: A judge folder, bundled:baseline, bundled:encoder, or default.
        json: Write the forecast as JSON ("-" is standard output).
        overwrite: Replace an existing file.
    """
    from votecast.data.outputs.prediction_files import decide
    from votecast.judges.load import load_judge
    from votecast.types import CLASSES

    check_outputs(json, settings_of_json(json), overwrite=overwrite)
    loaded = load_judge(judge)
    p, cut = loaded.predict_with_truncation([{"id": "0", "prompt": prompt, "response_a": a, "response_b": b}])
    chances = dict(zip(CLASSES, map(float, p[0]), strict=True))
    name = {"name": loaded.name, "hash": loaded.hash}
    forecast: dict[str, Any] = {
        "id": "0",
        "probabilities": chances,
        "decision": decide(p)[0],
        "judge": name,
        "cut": cut.to_dict() if cut is not None and cut.rows_cut else None,
    }
    if json is not None:
        write_json(forecast, json, overwrite=overwrite)
        write_settings(json, "compare", {"judge": judge, "prompt": prompt, "a": a, "b": b}, judge=name)
    if json != "-":
        show_cut(forecast["cut"])
        table(["outcome", "probability"], [[SHOWN[key], f"{chance:.1%}"] for key, chance in chances.items()])
        say("")
        facts({"decision": SHOWN[forecast["decision"]], "judge": cite(name)})
