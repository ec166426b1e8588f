"""votecast import: from checkpoints that were trained elsewhere to a judge folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from cyclopts import Parameter, validators

from votecast.cli.figures import show_metrics, show_notes
from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import cite, facts, remark, say
from votecast.cli.train import parse_overrides
from votecast.cli.words import OVERRIDE
from votecast.errors import ConfigError
from votecast.text.settings import CutName, TemplateName

if TYPE_CHECKING:
    from votecast.data.battles import Battles
    from votecast.judges.trained import TrainedJudge

_FAMILIES = ("cross_encoder", "decoder")
_METHOD = "calibration.method"


def import_(
    folders: list[Path],
    /,
    *,
    out: Path,
    family: str = "cross_encoder",
    labels: str | None = None,
    base: str | None = None,
    template: TemplateName | None = None,
    cut: CutName | None = None,
    raw_cell: Annotated[bool, Parameter(negative=())] = False,
    max_length: Annotated[int | None, Parameter(validator=validators.Number(gte=16))] = None,
    orders: Literal["both", "shown"] = "both",
    name: str = "imported",
    votes: Path | None = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    overrides: Annotated[list[str] | None, Parameter(name=OVERRIDE, negative=())] = None,
) -> None:
    """Make a judge of Hugging Face checkpoints that were trained elsewhere.

    Args:
        folders: One folder for each fold: config.json, weights (safetensors or .bin) and tokenizer, or what peft saves
            of an adapter with its head; left as they are.
        out: Folder to write the judge to.
        family: cross_encoder, an encoder over prompt and both answers; decoder, a causal model, whole, in 4 bits, or
            as an adapter.
        labels: Which of a, b and tie the outputs are, in their order, such as a,b,tie; config.json may say it.
        base: The model that adapters stand on, a folder or a hub name, where it is not what they say.
        template: How prompt and answers were laid out when the models were trained; segments, for decoders tags.
        cut: What went where a battle was too long; shares, for decoders the right end of the joined text.
        raw_cell: The models read columns as the contest's file spells them, brackets and escapes included.
        max_length: The most tokens of one sequence; 512, for decoders 1024.
        orders: Average both orders of the answers, or read them as shown, as the models were trained to.
        name: What the judge is called.
        votes: File of votes to fit the calibration on; the models must not have been trained on them.
        reading: How the votes are read.
        json: Write what was imported as JSON ("-" is standard output).
        overwrite: Replace an existing judge folder.
        overrides: Any other setting by its dotted key, such as --calibration.method isotonic.
    """
    from votecast.artifacts import check_free
    from votecast.config.extras import need

    check_outputs(json, settings_of_json(json), overwrite=overwrite)
    check_free(out, overwrite=overwrite, is_folder=True)
    kind = _checked(family)
    given = parse_overrides(overrides or [])
    method = given.pop(_METHOD, "temperature") if votes is not None else "none"
    text = {"template": template, "cut": cut, "raw_cell": raw_cell or None, "max_length": max_length}
    settings: dict[str, Any] = {f"model.text.{key}": value for key, value in text.items() if value is not None}
    settings |= {"model.orders": orders} | given
    for package in ("torch", "transformers"):
        need(package)
    from votecast.judges.import_checkpoints import check_apart, import_judge

    check_apart(out, folders)
    order = None if labels is None else labels.split(",")
    with Bars() as bars:
        battles = None if votes is None else _read(votes, reading.reader(overwrite=overwrite), bars)
        judge = import_judge(
            folders, family=kind, labels=order, base=base, name=name, settings=settings, progress=bars.steps
        )
        if battles is not None:
            bars.steps("calibrating", 0, 1)
            judge = _calibrated(judge, battles, method)
        judge.save_pretrained(out, overwrite=overwrite)
    _show(judge, out, json, overwrite=overwrite)


def _checked(family: str) -> Literal["cross_encoder", "decoder"]:
    known = family.replace("-", "_")
    if known not in _FAMILIES:
        raise ConfigError(
            f"family is {family!r}; allowed are {' and '.join(_FAMILIES)}: judges of other families have no layout but "
            "votecast's own, and their folders are copied as they are"
        )
    return cast("Literal['cross_encoder', 'decoder']", known)


def _read(votes: Path, reader: dict[str, Any], bars: Bars) -> Battles:
    from votecast.data.reader import read_votes

    bars.steps("reading votes", 0, 1)
    return read_votes(votes, **({"labels": "required"} | reader))


def _calibrated(judge: TrainedJudge, battles: Battles, method: str) -> TrainedJudge:
    """The judge calibrated and measured on votes."""
    from votecast.judges.evaluate import evaluate_out_of_fold
    from votecast.judges.import_checkpoints import calibrate

    made = calibrate(judge, battles, method)
    report = battles.report
    found = {} if report is None else {"reading": report.to_dict() | {"path": Path(report.path).name}}
    made.record(figures=evaluate_out_of_fold(made, battles).to_dict(), **found)
    return made


def _show(judge: TrainedJudge, out: Path, json: str | None, *, overwrite: bool) -> None:
    """Say what was imported, and what is not known of it."""
    cited, imported = {"name": judge.name, "hash": judge.hash}, judge.notes["imported"]
    if "reading" in judge.notes:
        show_reading(judge.notes["reading"])
    remark("trained elsewhere: no leak check is possible, so measure it on votes known to be others")
    if not imported["votes"]:
        remark("not calibrated: --votes FILE fits that on votes on which the models were not trained")
    elif judge.recipe.calibration.method != "none":
        remark(f"calibrated on {imported['votes']:,} votes; that misleads if the models were trained on them")
    if json is not None:
        results = judge.figures | {"judge": cited | {"folder": str(out)}, "imported": imported}
        write_json(results, json, overwrite=overwrite)
        write_settings(json, "import", {"recipe": judge.recipe.dump()}, judge=cited)
    if json == STANDARD:
        return
    if judge.figures:
        say("Figures on the votes, cross-fitted calibration:\n")
        show_metrics(judge.figures)
        say("")
        show_notes(judge.figures, slices=False)
    members = imported["members"]
    facts({f"member {n}": f"{m['folder']}, outputs {', '.join(m['labels'])}" for n, m in enumerate(members)})
    facts({"judge": cite(cited), "folder": out})
