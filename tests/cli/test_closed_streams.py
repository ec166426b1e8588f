"""A command whose streams a shell has closed, or whose reader has gone, ends without a traceback."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("how", "code"), [(">&-", 0), ("2>&- >&-", 0), ("<&- >&-", 0), ("| head -c 0; exit ${PIPESTATUS[0]}", 141)]
)
def test_recipes_are_listed_to_nowhere(how: str, code: int) -> None:
    program = "import sys; from votecast.cli import main; sys.exit(main(['recipes']))"
    command = f'"{sys.executable}" -c "{program}" {how}'
    ran = subprocess.run(["bash", "-c", command], capture_output=True, check=False, timeout=120)
    assert (ran.returncode, ran.stderr.decode()) == (code, "")
