"""The notebook of a pack: plain cells that check it, install from it without an index, and write a submission."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from votecast.packaging.contests import Contest

_INTRODUCTION: Final = """\
# {contest} with the judge {judge}

This notebook needs no internet. It checks the files of this pack, installs votecast {votecast} from the wheels in it,
forecasts the contest's test file with the judge in it, and writes `submission.csv`.

On Kaggle:

1. Upload the folder of the pack as a dataset (`kaggle datasets create -p FOLDER --dir-mode tar`, or by hand).
2. Open this file as a notebook, add that dataset and the contest's data as inputs, and switch the internet off.
3. Run all cells.

Wheels: CPython {python} on {platform}.{without}"""

_PLACES: Final = """\
import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

# Where things are. None: looked for below INPUTS. Each can be set here, or in the environment.
INPUTS = Path(os.environ.get("VOTECAST_INPUTS", "/kaggle/input"))
PACK = os.environ.get("VOTECAST_PACK")
TEST = os.environ.get("VOTECAST_TEST")
OUT = Path(os.environ.get("VOTECAST_OUT", "submission.csv"))
JUDGE = "{hash}"


def is_this_pack(path):
    try:
        return json.loads(path.read_text("utf-8"))["judge"]["hash"] == JUDGE
    except (OSError, ValueError, KeyError, TypeError):
        return False


def only(found, what, name):
    if len(found) != 1:
        told = ", ".join(map(str, found)) or "none"
        raise FileNotFoundError(f"{{what}} below {{INPUTS}}: {{told}}; one is needed: add it, or set {{name}}")
    return found[0]


if PACK is None:
    found = [*Path.cwd().glob("manifest.json"), *sorted(INPUTS.rglob("manifest.json"))]
    PACK = only([path.parent for path in found if is_this_pack(path)][:1], "folders of this pack", "PACK")
if TEST is None:
    found = sorted(INPUTS.rglob("{test}"))
    TEST = only([path for path in found if "{word}" in str(path).lower()] or found, "files {test}", "TEST")
PACK, TEST = Path(PACK), Path(TEST)
print(f"pack: {{PACK}}\\ntest file: {{TEST}}\\nsubmission: {{OUT}}")"""

_CHECK_TEXT: Final = """\
## Check

Nothing is installed before every wheel and every file of the judge is found to be the one that was packed, and Python
the one that the wheels are for."""

_CHECK: Final = """\
MANIFEST = json.loads((PACK / "manifest.json").read_text("utf-8"))
running = f"{sys.version_info.major}.{sys.version_info.minor}"
if running != MANIFEST["python"]:
    raise RuntimeError(
        f"this is Python {running}, and the wheels are for {MANIFEST['python']}: make the pack again with "
        f"votecast pack --python {running}"
    )


def sha256(path):
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


wheels = {f"wheels/{path.name}" for path in (PACK / "wheels").glob("*")}
wrong = sorted(wheels - MANIFEST["files"].keys())
for name, told in MANIFEST["files"].items():
    if name.split("/")[0] in ("wheels", "judge", "base"):
        path = PACK / name
        if not path.is_file() or path.stat().st_size != told["size"] or sha256(path) != told["sha256"]:
            wrong.append(name)
if wrong:
    told = ", ".join(wrong[:5])
    raise RuntimeError(f"{len(wrong)} files are missing, damaged or foreign: {told}; upload the pack again")
print(f"the pack is whole: {len(MANIFEST['files'])} files, judge {MANIFEST['judge']['name']} ({JUDGE[:12]})")"""

_INSTALL_TEXT: Final = """\
## Install

From the wheels of the pack alone: pip asks no index. Packages that are here already and new enough are kept."""

_INSTALL: Final = """\
def run(*words):
    print("$", *words, flush=True)
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    shown = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(words, env=quiet, **shown) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
    if process.returncode:
        raise RuntimeError(f"the command ended with {process.returncode}; what it said is above")


def install(*words):
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(PACK / "wheels"), *words)


install(MANIFEST["install"])
if MANIFEST["no_deps"]:
    install("--no-deps", *MANIFEST["no_deps"])"""

_PREDICT_TEXT: Final = """\
## Forecast

votecast runs in a process of its own, so that nothing installed above clashes with what this notebook has loaded."""

_PREDICT: Final = """\
words = ["--judge", str(PACK / "judge"), "--input", str(TEST), "--format", "{format}", "--out", str(OUT)]
run(sys.executable, "-m", "votecast", "predict", *words, "--overwrite")"""

_SHOW: Final = """\
with OUT.open(encoding="utf-8", newline="") as file:
    rows = list(csv.reader(file))
print(f"{len(rows) - 1:,} rows in {OUT}")
for row in rows[:6]:
    print(*row, sep=",")"""


def notebook(facts: Mapping[str, Any], contest: Contest) -> str:
    """The notebook of a pack as a file of the format 4.5.

    Args:
        facts: What the manifest of the pack says.
        contest: What the submission is for.
    """
    without = ", ".join(facts["without"])
    left_out = f" Left out, since the target brings it: {without}." if without else ""
    told = {name: facts[name] for name in ("votecast", "python", "platform")}
    introduction = _INTRODUCTION.format(
        contest=contest.title,
        judge=f"{facts['judge']['name']} ({facts['judge']['hash'][:12]})",
        without=left_out,
        **told,
    )
    places = _PLACES.format(hash=facts["judge"]["hash"], test=contest.test, word=contest.word)
    cells = [
        ("markdown", introduction),
        ("code", places),
        ("markdown", _CHECK_TEXT),
        ("code", _CHECK),
        ("markdown", _INSTALL_TEXT),
        ("code", _INSTALL),
        ("markdown", _PREDICT_TEXT),
        ("code", _PREDICT.format(format=contest.format)),
        ("code", _SHOW),
    ]
    whole = {
        "cells": [_cell(number, kind, text) for number, (kind, text) in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "version": facts["python"]},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def code_cells(text: str) -> Sequence[str]:
    """The code of a notebook, cell by cell.

    Example:
        >>> code_cells('{"cells": [{"cell_type": "code", "source": ["print(1)"]}]}')
        ['print(1)']
    """
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"votecast-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
