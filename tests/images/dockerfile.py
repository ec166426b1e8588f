"""A small, strict reader of Dockerfiles, and a builder that carries their steps out in a folder of this machine.

No container engine is needed. What only an image can do is checked for its form and not carried out: `apt-get`,
`useradd` and the removal of lists of packages. Absolute paths are taken as paths below the folder of the stage.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

KNOWN = frozenset(
    ("FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
)
_FORMS = (
    re.compile(r"apt-get update"),
    re.compile(r"apt-get install --yes --no-install-recommends( [a-z0-9][a-z0-9+.-]+)+"),
    re.compile(r"rm -rf /var/lib/apt/lists/\*"),
    re.compile(r"useradd --uid \d+ --user-group --no-create-home --shell /usr/sbin/nologin [a-z]+"),
)
_ABSOLUTE = re.compile(r"(?<![\w./:'-])(/(?:opt|build|judges|tmp)\b)")
ROOT = PurePosixPath("/")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class Step:
    """One instruction.

    Args:
        line: Number of its first line.
        word: What it is.
        rest: What follows, on one line.
    """

    line: int
    word: str
    rest: str

    def words(self) -> list[str]:
        """The exec form.

        Raises:
            ValueError: If it is the form of a shell, which would keep signals from the process.
        """
        found = json.loads(self.rest)
        if not (isinstance(found, list) and found and all(isinstance(word, str) for word in found)):
            raise ValueError(f"line {self.line}: {self.word} is not a list of words")
        return found


def parse(text: str) -> list[Step]:
    """The instructions of a Dockerfile.

    Raises:
        ValueError: If one is not known here, or is empty.
    """
    steps, waiting, start = [], "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not waiting):
            continue
        start = start if waiting else number
        waiting = f"{waiting} {line.strip()}".strip()
        if waiting.endswith("\\"):
            waiting = waiting[:-1].rstrip()
            continue
        word, _, rest = waiting.partition(" ")
        if word not in KNOWN or not rest.strip():
            raise ValueError(f"line {start}: {waiting[:60]!r} is no instruction known here")
        steps.append(Step(start, word, rest.strip()))
        waiting = ""
    if waiting:
        raise ValueError(f"line {start}: it goes on after the last line")
    return steps


class Ignored:
    """What .dockerignore keeps out of the context; the last pattern that fits decides.

    Args:
        text: The file.
    """

    def __init__(self, text: str) -> None:
        lines = (line.strip() for line in text.splitlines())
        self.patterns = [(line.removeprefix("!"), line[0] == "!") for line in lines if line and line[0] != "#"]

    def __call__(self, path: PurePosixPath) -> bool:
        out = False
        for pattern, back in self.patterns:
            if any(_fits(above, pattern) for above in (path, *path.parents) if above.name):
                out = not back
        return out


def _fits(path: PurePosixPath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(path.name, pattern.removeprefix("**/"))
    parts = pattern.split("/")
    return len(parts) == len(path.parts) and all(map(fnmatch.fnmatchcase, path.parts, parts))


@dataclass
class Stage:
    """A stage whose steps were carried out.

    Args:
        root: The folder that stands for its file system.
        image: What it starts from.
        env: What ENV says, paths below `root`.
        workdir: Where commands run.
        only_checked: Commands that were not carried out.
    """

    root: Path
    image: str
    env: dict[str, str] = field(default_factory=dict)
    workdir: PurePosixPath = ROOT
    user: str = "root"
    ports: list[int] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    only_checked: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Variables for a process in it: nothing of this one's but the place of its network guard."""
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "LANG") if name in os.environ}
        return {"PATH": f"{self.root}/usr/bin:/usr/bin:/bin", "TMPDIR": f"{self.root}/tmp"} | kept | self.env

    def inside(self, text: str) -> str:
        """A text whose absolute paths lie below its root."""
        return _ABSOLUTE.sub(rf"{self.root}\1", text)


class Builder:
    """Carries out a Dockerfile.

    Args:
        context: The folder it is built from.
        place: An empty folder; every stage has the same path in it while it is built, as in an image.
        pip: Settings of pip, as environment variables.
    """

    def __init__(self, context: Path, place: Path, pip: Mapping[str, str]) -> None:
        self.context, self.place, self.pip = context, place, dict(pip)
        self.ignored = Ignored((context / ".dockerignore").read_text())
        self.stages: dict[str, Stage] = {}
        self.args: dict[str, str] = {}

    def build(self, steps: list[Step]) -> Stage:
        """Carry out all steps; the last stage."""
        stage: Stage | None = None
        name = ""
        for step in steps:
            if step.word == "ARG" and stage is None:
                key, _, value = step.rest.partition("=")
                self.args[key] = value
            elif step.word == "FROM":
                if stage is not None:
                    self._set_aside(name, stage)
                image, _, name = step.rest.partition(" AS ")
                stage = self._begin(_filled(image, self.args, step))
            else:
                assert stage is not None, f"line {step.line}: {step.word} before FROM"
                self._carry_out(step, stage)
        assert stage is not None
        return stage

    def _begin(self, image: str) -> Stage:
        root = self.place / "root"
        for name in ("usr/bin", "opt", "tmp"):
            (root / name).mkdir(parents=True)
        real = Path(sys.executable).resolve()
        for name in ("python", "python3"):
            (root / "usr/bin" / name).symlink_to(real)
        return Stage(root, image)

    def _set_aside(self, name: str, stage: Stage) -> None:
        assert name, "a stage before the last has a name"
        aside = self.place / f"stage-{name}"
        stage.root.rename(aside)
        stage.root = aside
        self.stages[name] = stage

    def _carry_out(self, step: Step, stage: Stage) -> None:
        if step.word == "WORKDIR":
            stage.workdir = stage.workdir / step.rest
            self._at(stage, stage.workdir).mkdir(parents=True, exist_ok=True)
        elif step.word == "ENV":
            for pair in shlex.split(step.rest):
                key, equals, value = pair.partition("=")
                assert equals, f"line {step.line}: ENV is NAME=VALUE"
                stage.env[key] = _filled(stage.inside(value), stage.environment(), step)
        elif step.word == "COPY":
            self._copy(step, stage)
        elif step.word == "RUN":
            self._run(step, stage)
        elif step.word == "USER":
            stage.user = step.rest
        elif step.word == "EXPOSE":
            stage.ports.append(int(step.rest))
        elif step.word == "HEALTHCHECK":
            options, _, rest = step.rest.partition(" CMD ")
            assert all(re.fullmatch(r"--(interval|timeout|start-period|retries)=\d+s?", o) for o in options.split())
            stage.health = Step(step.line, "HEALTHCHECK", rest).words()
        else:
            assert step.word in {"ENTRYPOINT", "CMD"}, f"line {step.line}: {step.word} after FROM"
            setattr(stage, {"ENTRYPOINT": "entrypoint", "CMD": "command"}[step.word], step.words())

    def _copy(self, step: Step, stage: Stage) -> None:
        *sources, target = step.rest.split()
        if sources[0].startswith("--from="):
            source = self.stages[sources.pop(0).removeprefix("--from=")]
            for name in sources:
                place = self._at(stage, PurePosixPath(target))
                shutil.copytree(source.root / name.lstrip("/"), place, symlinks=True, copy_function=os.link)
            return
        for name in sources:
            files = list(self._files(PurePosixPath(name)))
            assert files, f"line {step.line}: there is no {name} in what is sent to the build"
            is_folder = (self.context / name).is_dir()
            for file in files:
                inside = file.relative_to(name) if is_folder else PurePosixPath(file.name)
                place = PurePosixPath(target) / inside if is_folder or target.endswith("/") else PurePosixPath(target)
                at = self._at(stage, stage.workdir / place)
                at.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.context / file, at)

    def _files(self, name: PurePosixPath) -> Iterator[PurePosixPath]:
        start = self.context / name
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            inside = PurePosixPath(path.relative_to(self.context).as_posix())
            if path.is_file() and not self.ignored(inside):
                yield inside

    def _run(self, step: Step, stage: Stage) -> None:
        for command in (part.strip() for part in step.rest.split("&&")):
            if any(form.fullmatch(command) for form in _FORMS):
                stage.only_checked.append(command)
                continue
            assert not re.match(r"(apt|rm|user|group|curl|wget)", command), f"line {step.line}: {command!r}"
            ran = subprocess.run(
                ["/bin/sh", "-euc", stage.inside(command)],
                cwd=self._at(stage, stage.workdir),
                env=stage.environment() | self.pip,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, f"line {step.line}: {command}\n{ran.stdout}{ran.stderr}"

    @staticmethod
    def _at(stage: Stage, path: PurePosixPath) -> Path:
        return stage.root / str(path).lstrip("/")


def _filled(text: str, values: Mapping[str, str], step: Step) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        assert name in values, f"line {step.line}: {name} is not set"
        return values[name]

    return _VARIABLE.sub(value, text)
