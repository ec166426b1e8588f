"""Options that several verbs share, outputs as JSON, and the words of a command before they are parsed.

Used by every verb and by `votecast.cli.app`.
"""

from __future__ import annotations

import itertools
import json as json_module
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, Token, validators

from votecast import __version__
from votecast.artifacts import atomic_file, check_free, settings_path
from votecast.config.extras import need
from votecast.errors import ConfigError

if TYPE_CHECKING:
    from votecast.jobs.parts import PartsEngine
    from votecast.judges.trained import TrainedJudge

STANDARD = "-"
"""Standard input or output, as a path."""

_OVERRIDE = "--dotted.key"
_STANDARD_INPUT = "standard-input:"
"""What a lone "-" becomes, which the parser would take for an option."""

_DOTTED = re.compile(r"--([A-Za-z][\w-]*(?:\.[\w-]+)+)(?:=(.*))?", re.DOTALL)
TEXT_OPTIONS = {"compare": {"--prompt", "--a", "--b"}}
_FILE_LISTS = {"train": "--train", "estimate": "--train"}
_OVERRIDABLE = frozenset({"estimate", "import", "predict", "recipes", "rerank", "score", "train"})


def _parse_source(_: type, tokens: Sequence[Token]) -> str:
    return STANDARD if tokens[0].value == _STANDARD_INPUT else tokens[0].value


Flag = Annotated[bool, Parameter(negative=())]
Words = Annotated[list[str] | None, Parameter(negative=())]
Count = Annotated[int, Parameter(validator=validators.Number(gte=0))]
Positive = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Source = Annotated[str, Parameter(converter=_parse_source)]
"""A file given by its place on the command line; "-" is standard input."""

# Options that have one meaning in all verbs, with their help.

VoteFormat = Literal[
    "auto",
    "lmsys",
    "wsdm",
    "arena",
    "pairs",
    "rewardbench",
    "mtbench",
    "votecast",
    "names",
    "helpsteer3",
    "helpsteer2",
    "ppe",
    "shp",
    "pku_saferlhf",
    "webgpt",
    "judgebench",
    "alpaca_eval",
    "llmbar",
    "nectar",
    "ultrafeedback",
    "oasst",
]
JudgeName = Annotated[str, Parameter(help="A judge folder, bundled:baseline, bundled:encoder or default.")]
JudgeOrRecipe = Annotated[
    str,
    Parameter(
        help="A judge folder, bundled:baseline, bundled:encoder, default, or recipe:NAME for a reward model without "
        "votes."
    ),
]
TrainFiles = Annotated[
    list[Path],
    Parameter(negative=(), help='Files of votes: one or several, or patterns such as "votes/*.csv".'),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"] | None,
    Parameter(
        help="Precision of a neural judge: bf16 is faster and rounds; fp16 is for GPUs without bf16, and is checked "
        "against fp32; int8 rounds so much that its log loss should be measured first."
    ),
]
LabelNames = Annotated[
    str | None,
    Parameter(help="What the labels in the column of the winner mean: 1=a,2=b,0=tie; also both_bad and none."),
]
Draws = Annotated[Count, Parameter(help="Bootstrap samples for the 95 % intervals; 0 omits them.")]
AllowLeak = Annotated[Flag, Parameter(help="Continue although votes share prompts with the judge's training data.")]
OutOfFoldFlag = Annotated[
    Flag, Parameter(help="Measure votes that the judge was trained on by its out-of-fold predictions.")
]
Small = Annotated[Flag, Parameter(help="Use the small form of recipe:NAME.")]
Resume = Annotated[Flag, Parameter(help="Continue from the partial output of an interrupted run of the same command.")]
Overrides = Annotated[
    list[str] | None,
    Parameter(
        name=_OVERRIDE, negative=(), help="Any setting by its dotted key, such as --model.name FOLDER or --folds.n 3."
    ),
]
"""KEY=VALUE of every dotted option, for `parse_overrides`."""


@dataclass(frozen=True)
class _ReadOptions:
    text: Literal["auto", "json", "plain"] = "auto"
    """Whether text columns hold JSON lists of turns or plain text; auto decides once per column."""
    bad_rows: Literal["error", "quarantine"] = "error"
    """Stop at an invalid row, or quarantine such rows with their reasons."""
    quarantine: Path | None = None
    """Side file for invalid rows; by default <name of the file>.quarantine.jsonl in this folder."""
    limit: Positive | None = None
    """Read at most this many rows."""
    sample: Annotated[float | None, Parameter(validator=validators.Number(gt=0, lte=1))] = None
    """Read this share of the rows, stratified by label."""
    seed: Count | None = None
    """Seed of everything random."""
    columns: str | None = None
    """Columns of the file by ours, where they have other names: prompt=question,response_a=answer_1,winner=label."""

    def reader(self, *, overwrite: bool = False) -> dict[str, Any]:
        """Return the options as keywords of `read_votes`."""
        values = {name.removeprefix("input_"): value for name, value in vars(self).items()} | {"overwrite": overwrite}
        values["quarantine"] = self.quarantine and str(self.quarantine)
        values["columns"] = parse_pairs(self.columns, "--columns") or None
        for name in ("labels", "vote_labels"):
            if given := values.pop(name, None):
                values["label_names"] = parse_pairs(given, f"--{name.replace('_', '-')}")
        return {name: value for name, value in values.items() if value is not None}


@Parameter(name="*")
@dataclass(frozen=True)
class ReadOptions(_ReadOptions):
    """How a file is read, for verbs that only read."""

    format: Annotated[VoteFormat, Parameter(name=["--format", "--input-format"])] = "auto"
    """Format of the file; auto detects it by its columns. names (models and votes alone) is for rank."""
    labels: LabelNames = None


@Parameter(name="*")
@dataclass(frozen=True)
class ImportReadOptions(_ReadOptions):
    """How votes are read by a verb whose --labels are those of a model."""

    format: Annotated[VoteFormat, Parameter(name=["--format", "--input-format"])] = "auto"
    """Format of the file; auto detects it by its columns."""
    vote_labels: LabelNames = None


@Parameter(name="*")
@dataclass(frozen=True)
class InputReadOptions(_ReadOptions):
    """How a file is read, for verbs whose --format is that of the output."""

    input_format: VoteFormat = "auto"
    """Format of the input; auto detects it by its columns."""
    labels: LabelNames = None


@Parameter(name="*")
@dataclass(frozen=True)
class TrainingOptions:
    """What of a recipe is trained, for train and estimate."""

    small: Flag = False
    """Use the small form of the recipe: minutes on any machine; most have tiny networks of random weights."""
    fold: Count | None = None
    """Train and evaluate this fold alone, numbered from 0, and keep its member."""
    rows: Annotated[int | None, Parameter(validator=validators.Number(gte=2))] = None
    """Train on at most this many rows, stratified by label after cleaning."""
    final: Literal["refit", "average", "average_weights"] | None = None
    """Train once more on all rows (refit), or keep the members of all folds and average their predictions (average) or
    their weights (average_weights)."""

    def settings(self, overrides: Sequence[str] | None, seed: int | None) -> dict[str, str]:
        """Return these options and the dotted ones as overrides of the recipe."""
        settings = parse_overrides(overrides)
        if self.fold is not None and "folds.only" in settings:
            raise ConfigError(
                f"--fold is {self.fold} and --folds.only is {settings['folds.only']}; both name the fold to train, so "
                "give one"
            )
        given = {"seed": seed, "folds.only": self.fold, "rows": self.rows, "final": self.final}
        return settings | {key: str(value) for key, value in given.items() if value is not None}


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """Results as JSON, and whether files may be replaced."""

    json: str | None = None
    """Write the results as JSON; "-" is standard output."""
    overwrite: Flag = False
    """Replace existing outputs."""

    def check(self, *paths: str | Path | None, folder: Path | None = None, settings: bool = True) -> None:
        """Refuse outputs that already exist before any work: the JSON, its settings, `paths`, and a judge folder."""
        beside = settings_path(self.json) if settings and self.json not in (None, STANDARD) else None
        for path in (*paths, self.json, beside):
            if path is not None and str(path) != STANDARD:
                check_free(path, overwrite=self.overwrite)
        if folder is not None:
            check_free(folder, overwrite=self.overwrite, is_folder=True)

    def check_results(self, out: str | Path, *, resume: bool) -> None:
        """Refuse an output of a resumable run that already exists, or the settings beside it."""
        self.check(*([] if resume else [out, settings_path(out)]), settings=False)

    def write(
        self,
        results: Mapping[str, object],
        verb: str | None = None,
        settings: Mapping[str, object] | None = None,
        **facts: object,
    ) -> bool:
        """Write results as JSON if that was asked for; with a verb, also its settings and facts beside the file.

        Returns:
            Whether the results go to the screen too: standard output is not taken by JSON.
        """
        if self.json is not None:
            write_json(results, self.json, overwrite=self.overwrite)
            if verb is not None:
                write_settings(self.json, verb, settings or {}, **facts)
        return self.json != STANDARD

    def write_judge(
        self, judge: TrainedJudge, out: Path, verb: str, settings: Mapping[str, object], results: Mapping[str, object]
    ) -> bool:
        """Write the results of a verb that makes a judge folder, with the judge and its folder, as `write` does."""
        cited = {"name": judge.name, "hash": judge.hash}
        return self.write({**results, "judge": cited | {"folder": str(out)}}, verb, settings, judge=cited)


def write_json(values: Mapping[str, object], path: str | Path, *, overwrite: bool = False) -> None:
    """Write results as JSON to a file, or to standard output where the path is "-"."""
    text = json_module.dumps(values, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
    if str(path) == STANDARD:
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        return
    with atomic_file(path, overwrite=overwrite) as part:
        part.write_text(text, "utf-8", errors="backslashreplace")


def write_settings(out: str | Path, verb: str, settings: Mapping[str, object], **facts: object) -> None:
    """Write the command, every option it ran with, and further facts beside an output, unless that is the screen."""
    if str(out) != STANDARD:
        whole = {"votecast": __version__, "command": verb, "settings": dict(settings)} | facts
        write_json(whole, settings_path(out), overwrite=True)


@Parameter(name="*")
@dataclass(frozen=True)
class Cluster:
    """Where Ray runs, and with how much."""

    address: str | None = None
    """A running cluster: auto, HOST:PORT or ray://HOST:PORT; by default Ray is started on this machine, and stopped."""
    num_actors: Positive | None = None
    """Actors, each with one judge; by default as many as fit the CPUs, or the GPUs if they need one."""
    cpus_per_actor: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 0.5
    """CPUs of each actor; the remaining ones read the inputs."""
    gpus_per_actor: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.0
    """GPUs, or the share of one, of each actor."""
    threads: Positive | None = None
    """Threads of the judge of each actor; by default the cores of a machine shared among actors."""

    def check(self, engine: str, *, to_folder: bool, part_rows: int | None) -> None:
        """Refuse options that would have no effect."""
        given = [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value != vars(Cluster())[name]]
        if engine != "ray" and given:
            raise ConfigError(f"{', '.join(given)} is for --engine ray; pass that, or drop it")
        trailing = "name one with a trailing slash, such as --out out/"
        if engine == "ray" and not to_folder:
            raise ConfigError(f"--engine ray writes a folder of parts; {trailing}")
        if part_rows is not None and not to_folder:
            raise ConfigError(f"--part-rows is for a folder of parts; {trailing}")

    def engine(self, engine: str, name: str, judge: TrainedJudge) -> PartsEngine | None:
        """Return the engine that does the work; None for this process."""
        if engine != "ray":
            return None
        need("ray")
        from votecast.jobs.ray import RayEngine, RaySettings

        return RayEngine(judge, name, RaySettings.parse(vars(self), origin="ray"))


def check_out_of_fold(asked: bool, *, allow_leak: bool, predictions: Path | None) -> None:
    """Raise `ConfigError` if out-of-fold predictions are asked for where there can be none."""
    if asked and predictions is not None:
        raise ConfigError("--out-of-fold and --predictions are both given; name a --judge, which has them")
    if asked and allow_leak:
        raise ConfigError("--out-of-fold and --allow-leak are both given; give one of them")


def parse_pairs(given: str | None, option: str) -> dict[str, str]:
    """Turn NAME=VALUE,NAME=VALUE into a dict.

    Raises:
        ConfigError: If a part has no value, or a name is given twice.

    Example:
        >>> parse_pairs("prompt=question, winner=label", "--columns")
        {'prompt': 'question', 'winner': 'label'}
    """
    found: dict[str, str] = {}
    for part in given.split(",") if given else ():
        name, equals, value = (each.strip() for each in part.rpartition("="))
        if not equals or not value or name in found:
            why = "is given twice" if name in found else "has no value"
            raise ConfigError(f"{option} is {given!r}, in which {name or value!r} {why}; write NAME=VALUE,NAME=VALUE")
        found[name] = value
    return found


def parse_overrides(given: Sequence[str] | None) -> dict[str, str]:
    """Turn KEY=VALUE into settings.

    Raises:
        ConfigError: If a key has no value or is given twice.

    Example:
        >>> parse_overrides(["folds.n=3"])
        {'folds.n': '3'}
    """
    settings: dict[str, str] = {}
    for word in given or ():
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--{key} has no value; give one, as in --{key} VALUE")
        if key in settings:
            raise ConfigError(f"--{key} is given twice, as {settings[key]!r} and {value!r}; give it once")
        settings[key] = value
    return settings


def prepare_words(words: Sequence[str]) -> list[str]:
    """Join the words that belong together before they are parsed.

    `--folds.n 3` becomes one override. A `-` after an option (standard input or output) becomes its value, and so does
    a text that starts with a hyphen, such as an answer that is a list. A `-` by itself is standard input. Every word
    after `--train`, up to the next option, is a file, since a shell writes them out for a pattern.

    Args:
        words: The words after `votecast`.

    Returns:
        Words for the parser.

    Example:
        >>> prepare_words(["train", "baseline", "--folds.n", "3", "--json", "-"])
        ['train', 'baseline', '--dotted.key=folds.n=3', '--json=-']
        >>> prepare_words(["compare", "--a", "- one"])
        ['compare', '--a=- one']
    """
    verb = words[0] if words else ""
    text_options, is_overridable = TEXT_OPTIONS.get(verb, set()), verb in _OVERRIDABLE
    joined: list[str] = []
    places = iter(range(len(words)))
    for place in places:
        word, follower = words[place], words[place + 1] if place + 1 < len(words) else None
        if is_overridable and (dotted := _DOTTED.fullmatch(word)):
            value = dotted[2]
            # a follower is a value unless it is an option itself; -1.5 is one
            if value is None and follower is not None and not follower.startswith("--"):
                value = follower
                next(places)
            joined.append(f"{_OVERRIDE}={dotted[1]}" + ("" if value is None else f"={value}"))
        elif word == _FILE_LISTS.get(verb) and not words[1].startswith("-"):  # the recipe is not among them
            files = list(
                itertools.takewhile(lambda each: each == STANDARD or not each.startswith("-"), words[place + 1 :])
            )
            joined += [f"{word}={file}" for file in files] or [word]
            for _ in files:
                next(places)
        # the parser takes a lone hyphen, and a text that begins with one, for an option
        elif follower is not None and (word in text_options or (word.startswith("--") and follower == STANDARD)):
            joined.append(f"{word}={follower}")
            next(places)
        else:
            joined.append(_STANDARD_INPUT if word == STANDARD else word)
    return joined
