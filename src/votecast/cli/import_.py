"""votecast import: from Hugging Face checkpoints that were trained elsewhere to a judge folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from votecast.cli.options import Flag, ImportReadOptions, Output, Overrides, parse_overrides
from votecast.cli.screen import Bars, judge_text, print_facts, print_note
from votecast.cli.summaries import show_out_of_fold, show_reading
from votecast.errors import ConfigError
from votecast.text.settings import CutName, TemplateName

_FAMILIES: dict[str, Literal["cross_encoder", "decoder"]] = {"cross_encoder": "cross_encoder", "decoder": "decoder"}


def import_(
    folders: list[Path],
    /,
    *,
    out: Path,
    family: str = "cross_encoder",
    labels: str | None = None,
    base: str | None = None,
    tokenizer: str | None = None,
    template: TemplateName | None = None,
    cut: CutName | None = None,
    raw_cell: Flag = False,
    max_length: Annotated[int | None, Parameter(validator=validators.Number(gte=16))] = None,
    orders: Literal["both", "shown"] = "both",
    name: str = "imported",
    votes: Path | None = None,
    reading: ImportReadOptions = ImportReadOptions(),
    output: Output = Output(),
    overrides: Overrides = None,
) -> None:
    """Import Hugging Face checkpoints that were trained elsewhere as a judge.

    Args:
        folders: One folder for each fold: config.json, weights (safetensors or .bin) and tokenizer, or what peft saves
            of an adapter with its head; or one folder with fold_0/best_model, fold_1/best_model and so on. They are
            not changed.
        out: Folder to write the judge to.
        family: cross_encoder, an encoder over prompt and both answers; decoder, a causal model, whole, in 4 bits, or
            as an adapter.
        labels: Which of a, b and tie the outputs are, in their order, such as a,b,tie; by default from config.json.
            a,b is for models of two outputs: a tie has probability 0, or what a tie link fitted on --votes gives it.
        base: The base model of adapters, a folder or a hub name, where it is not the one that they name.
        tokenizer: Folder or hub name of the tokenizer, where it lies neither in the folder of each fold nor in a folder
            named tokenizer beside it.
        template: Layout of prompt and answers in training; by default segments, for decoders tags.
        cut: Truncation of long battles in training; by default shares, for decoders the right end of the joined text.
        raw_cell: The models read columns as in the contest's file, brackets and escapes included.
        max_length: The most tokens of one sequence; 512, for decoders 1024.
        orders: Average both orders of the answers, or read them as shown, as in training.
        name: Name of the judge.
        votes: File of votes to fit the calibration on; the models must not have been trained on them.
    """
    from votecast.config.extras import need

    output.check(folder=out)
    kind = _FAMILIES.get(family.replace("-", "_"))
    if kind is None:
        raise ConfigError(
            f"family is {family!r}; allowed are {' and '.join(_FAMILIES)}: judges of other families have no layout but "
            "votecast's own; copy their folders as they are"
        )
    given = parse_overrides(overrides)
    method = given.pop("calibration.method", None) if votes is not None else None
    text = {"template": template, "cut": cut, "raw_cell": raw_cell or None, "max_length": max_length}
    settings: dict[str, object] = {f"model.text.{key}": value for key, value in text.items() if value is not None}
    settings |= {"model.orders": orders, **given}
    for package in ("torch", "transformers"):
        need(package)
    from votecast.data.reader import read_votes
    from votecast.judges.evaluate import evaluate_out_of_fold
    from votecast.judges.import_checkpoints import calibrate, check_apart, import_judge

    check_apart(out, folders)
    order = None if labels is None else labels.split(",")
    with Bars() as bars:
        battles = None
        if votes is not None:
            bars.steps("reading votes", 0, 1)
            battles = read_votes(votes, **({"labels": "required"} | reading.reader(overwrite=output.overwrite)))
        judge = import_judge(
            folders,
            family=kind,
            labels=order,
            base=base,
            tokenizer=tokenizer,
            name=name,
            settings=settings,
            progress=bars.steps,
        )
        if battles is not None:
            bars.steps("calibrating", 0, 1)
            judge = calibrate(judge, battles, method)
            report = battles.report
            read = {} if report is None else {"reading": report.to_dict() | {"path": Path(report.path).name}}
            judge.record(figures=evaluate_out_of_fold(judge, battles).to_dict(), **read)
        judge.save_pretrained(out, overwrite=output.overwrite)
    imported = judge.notes["imported"]
    if not judge.recipe.dump()["model"]["ties"] and judge.recipe.calibration.method != "tie_link":
        print_note("models of two outputs: a tie has probability 0; pass --votes FILE with ties to fit a tie link")
    if "reading" in judge.notes:
        show_reading(judge.notes["reading"])
    print_note("trained elsewhere: leaks cannot be checked, so evaluate it on votes known to be others")
    if not imported["votes"]:
        print_note("not calibrated: pass --votes FILE with votes that the models were not trained on")
    elif judge.recipe.calibration.method != "none":
        print_note(f"calibrated on {imported['votes']:,} votes; wrong if the models were trained on them")
    results = judge.figures | {"imported": imported}
    if output.write_judge(judge, out, "import", {"recipe": judge.recipe.dump()}, results):
        if judge.figures:
            show_out_of_fold(judge.figures, "Metrics on the votes, cross-fitted calibration")
        members = enumerate(imported["members"])
        print_facts({f"member {n}": f"{each['folder']}, outputs {', '.join(each['labels'])}" for n, each in members})
        print_facts({"judge": judge_text(judge), "folder": out})
