"""Write requirements/extras.txt: what pip resolves for the optional packages, beside requirements/dev.txt.

uv would pin the CUDA packages of torch on every machine. So pip resolves in a new environment, and what torch brings
for a GPU is left for pip to choose where the pins are installed.

Usage: python scripts/lock_extras.py [torch==2.13.0]
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEV, EXTRAS = ROOT / "requirements" / "dev.txt", ROOT / "requirements" / "extras.txt"
HEAD = """# This file was written by: make lock
# torch comes from wherever pip finds it; make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu keeps CUDA out.
"""
FOR_A_GPU = ("nvidia-", "cuda-", "triton")


def name_of(pin: str) -> str:
    """Return the package of a pinned line, spelled as in the index."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=@ ;]", pin)[0]).lower()


def pins(text: str) -> dict[str, str]:
    """Return pinned lines by package, without comments and local versions."""
    lines = (line.strip() for line in text.splitlines())
    return {name_of(line): re.sub(r"\+\w+$", "", line) for line in lines if "==" in line and line[0] not in "#-"}


def resolve(torch: str) -> dict[str, str]:
    """Resolve all extras in a new environment, torch first."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--constraint", str(DEV)]
        subprocess.run([*install, torch], check=True)
        subprocess.run([*install, f"{ROOT}[all,bench]"], check=True)
        return pins(subprocess.run([*pip, "freeze", "--all"], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Resolve and write the lock file."""
    known = pins(EXTRAS.read_text("utf-8")) if EXTRAS.exists() else {}
    torch = sys.argv[1] if len(sys.argv) > 1 else known.get("torch", "torch")
    core = {*pins(DEV.read_text("utf-8")), "votecast", "pip"}
    found = {name: pin for name, pin in resolve(torch).items() if name not in core and not name.startswith(FOR_A_GPU)}
    EXTRAS.write_text(HEAD + "".join(f"{found[name]}\n" for name in sorted(found)), "utf-8")


if __name__ == "__main__":
    main()
