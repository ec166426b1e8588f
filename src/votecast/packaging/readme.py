"""The page that lies in a pack and tells what it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_TEXT: Final = """\
# A judge to run without a network: {judge}

Made by `votecast pack` for CPython {python} on {platform}.

| | |
|---|---|
| `notebook.ipynb` | checks this folder, installs from `wheels/`, writes `submission.csv` for the {contest} contest |
| `judge/` | the judge {judge}, family {family} |
{bases}| `wheels/` | votecast {votecast} and {packages} packages, {size} |
| `manifest.json` | name, size and SHA-256 of every file |

On Kaggle: upload this folder as a dataset, open `notebook.ipynb`, add the dataset and the contest's data as inputs,
switch the internet off, run all cells.

On any other machine with that Python:

```
python -m venv env
env/bin/python -m pip install --no-index --find-links wheels '{install}'
{no_deps}env/bin/votecast predict --judge judge --input test.csv --format {contest} --out submission.csv
```

{without}The largest wheels: {largest}.
"""


def readme(facts: Mapping[str, Any], pack: Path) -> str:
    """What lies in a pack and how it is used.

    Args:
        facts: What its manifest says.
        pack: Its folder, with the wheels in it.
    """
    sizes = sorted(((path.stat().st_size, path.name) for path in (pack / "wheels").iterdir()), reverse=True)
    pins = " ".join(facts["no_deps"])
    without = ", ".join(facts["without"])
    return _TEXT.format(
        judge=f"{facts['judge']['name']} ({facts['judge']['hash'][:12]})",
        family=facts["judge"]["family"],
        bases="".join(f"| `{base['place']}/` | weights it stands on: {base['name']} |\n" for base in facts["bases"]),
        packages=len(facts["packages"]),
        size=megabytes(sum(size for size, _ in sizes)),
        largest=", ".join(f"{name.split('-')[0]} {megabytes(size)}" for size, name in sizes[:3]),
        no_deps=f"env/bin/python -m pip install --no-index --find-links wheels --no-deps {pins}\n" if pins else "",
        without=f"Not in here, since the machine has it already: {without}.\n\n" if without else "",
        **{name: facts[name] for name in ("python", "platform", "contest", "votecast", "install")},
    )


def megabytes(size: int) -> str:
    """A number of bytes as people read it.

    Example:
        >>> megabytes(12_345_678), megabytes(3_200_000_000)
        ('12.3 MB', '3.20 GB')
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
