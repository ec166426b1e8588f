"""The table of dependencies says what pyproject.toml asks for, and what is pinned is at least that."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([a-z0-9-]+) \| ([\d.]+) \| ", re.MULTILINE)


def test_floors_in_the_table_are_those_of_the_package_and_of_the_pins() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [one for name, group in project["optional-dependencies"].items() if name != "test" for one in group]
    asked: dict[str, set[str]] = {}
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        floors = (part.version for part in requirement.specifier if part.operator == ">=")
        asked.setdefault(requirement.name.lower(), set()).update(floors)
    pinned = dict(
        line.split(" ")[0].lower().split("==")
        for file in ("dev.txt", "extras.txt")
        for line in (ROOT / "requirements" / file).read_text("utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    )
    rows = dict(ROW.findall((ROOT / "docs" / "reference" / "dependencies.md").read_text("utf-8")))
    assert len(rows) > 10
    for name, floor in rows.items():
        assert min(map(Version, asked[name])) >= Version(floor), name
        assert Version(pinned[name].partition("+")[0]) >= Version(floor), name
    assert {"jinja2", "pyarrow"} <= set(rows)
