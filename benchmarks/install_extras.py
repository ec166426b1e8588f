"""Install each extra with pip into a new environment, as the docs say, and start every recipe it is for.

    python benchmarks/install_extras.py [--extras neural quant keras onnx] [--work FOLDER] [--torch torch==2.13.0+cpu]

It needs a package index, and disk: 6 GB for every environment with a torch for CUDA; --torch installs that one first.
The recipes run in their small form, on tiny models in the layout of the hub where the recipe names one. Shown are the
seconds and MB of every environment, and the last line of what failed; `tests/recipes/test_recipes.py` does the same
without an index, in environments of links.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for the folders that the tests make

from tests.clean_environment import RECIPES, SETTINGS  # noqa: E402
from tests.hub_folders import SYSTEMS  # noqa: E402

from votecast.config.extras import PINNED  # noqa: E402
from votecast.data.outputs import write_votes  # noqa: E402
from votecast.data.simulation import simulate  # noqa: E402

EXTRAS = RECIPES | {"onnx": ["cross_encoder"]}


def run(words: list[str | Path], folder: Path) -> str:
    """Run a command; return nothing if it ends well, else the last line of its errors."""
    ran = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, check=False)
    lines = (ran.stderr.strip() or ran.stdout.strip() or f"exit status {ran.returncode}").splitlines()
    return lines[-1] if ran.returncode else ""


def install(extra: str, folder: Path, torch: str | None) -> str:
    """Make an environment by the install lines of the docs."""
    venv.create(folder, with_pip=True)
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    named = "neural" if extra in {"quant", "onnx"} else extra
    pins = [pin for owner, pin in PINNED.values() if owner == named]
    steps = [[torch]] if torch and extra != "keras" else []
    for step in [*steps, [f"{ROOT}[{extra}]"], ["--no-deps", *pins]]:
        if failed := run([*pip, *step], folder):
            return failed
    return ""


def start(extra: str, name: str, folder: Path, votes: Path) -> str:
    """Train a recipe in its small form, predict with it, and export it from the environment that is for that."""
    votecast, judge = folder / "env" / "bin" / "votecast", folder / name
    words: list[str | Path] = [
        votecast,
        "train",
        name,
        "--small",
        "--train",
        votes,
        "--out",
        judge,
        *SETTINGS.get(name, []),
    ]
    if name in SYSTEMS:
        model = folder / "hub" / name
        if failed := run([sys.executable, "-m", "tests.hub_folders", name, model], ROOT):
            return failed
        words += ["--model.name", model]
    steps = [words, [votecast, "predict", "--judge", judge, "--input", votes, "--out", folder / f"{name}.csv"]]
    if extra == "onnx":
        steps.append([votecast, "export", "--judge", judge, "--out", folder / "exported"])
    return next((failed for failed in (run(step, folder) for step in steps) if failed), "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", nargs="+", choices=EXTRAS, default=list(EXTRAS))
    parser.add_argument("--work", type=Path, help="folder for the environments, which are removed one after the other")
    parser.add_argument("--torch", help="requirement that is installed first, such as torch==2.13.0+cpu")
    asked = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory(dir=asked.work) as work:
        votes = Path(work, "votes.csv")
        battles, _ = next(simulate(rows=400, seed=0, batch=400))
        write_votes(battles, votes)
        for extra in asked.extras:
            folder = Path(work, extra)
            folder.mkdir()
            began = time.perf_counter()
            failed = install(extra, folder / "env", asked.torch)
            size = sum(path.stat().st_size for path in (folder / "env").rglob("*") if path.is_file())
            took = f"{time.perf_counter() - began:.0f} s, {size / 1e6:,.0f} MB"
            print(f"{extra:8} installed in {took}" if not failed else f"{extra:8} FAILED: {failed}", flush=True)
            failures += bool(failed)
            for name in EXTRAS[extra] if not failed else ():
                began = time.perf_counter()
                found = start(extra, name, folder, votes)
                failures += bool(found)
                print(f"  {name:18} {time.perf_counter() - began:5.0f} s  {found or 'ok'}", flush=True)
            shutil.rmtree(folder)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
