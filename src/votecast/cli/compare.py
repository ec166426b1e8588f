"""votecast compare: the prediction for two answers given on the command line."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from votecast.cli.options import JudgeName, Output
from votecast.cli.screen import judge_text, print_facts, print_line, print_table
from votecast.cli.summaries import show_truncation
from votecast.errors import ConfigError

SHOWN = {"a": "A wins", "b": "B wins", "tie": "tie"}

Turns = Annotated[list[str], Parameter(negative=(), consume_multiple=False)]


def compare(*, prompt: Turns, a: Turns, b: Turns, judge: JudgeName = "default", output: Output = Output()) -> None:
    """Predict the vote between two answers given on the command line.

    Args:
        prompt: The prompt; given several times, the turns of a conversation.
        a: The first answer, one for each turn.
        b: The second answer, one for each turn.
    """
    from votecast.data.outputs.prediction_files import decide
    from votecast.judges.load import load_judge
    from votecast.types import CLASSES

    for option, turns in {"prompt": prompt, "a": a, "b": b}.items():
        if not any(turn.strip() for turn in turns):
            raise ConfigError(f"--{option} is {' '.join(turns)!r}; give at least one visible character")
    output.check()
    loaded = load_judge(judge)
    p, cut = loaded.predict_with_truncation([{"id": "0", "prompt": prompt, "response_a": a, "response_b": b}])
    name = {"name": loaded.name, "hash": loaded.hash}
    shares, choice = dict(zip(CLASSES, map(float, p[0]), strict=True)), decide(p)[0]
    truncated = cut.to_dict() if cut is not None and cut.rows_cut else None
    prediction = {"id": "0", "probabilities": shares, "decision": choice, "judge": name, "cut": truncated}
    settings = {"judge": judge, "prompt": prompt, "a": a, "b": b}
    if output.write(prediction, "compare", settings, judge=name):
        show_truncation(truncated)
        print_table(["outcome", "probability"], [[SHOWN[key], f"{share:.1%}"] for key, share in shares.items()])
        print_line()
        print_facts({"top choice": SHOWN[choice], "judge": judge_text(name)})
