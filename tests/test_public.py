"""Test the public names: documented, lazily imported and light."""

import json
import subprocess
import sys

import pytest

import votecast


@pytest.mark.parametrize("name", [name for name in votecast.__all__ if name != "__version__"])
def test_every_public_name_resolves_and_is_documented(name):
    thing = getattr(votecast, name)
    assert name in dir(votecast)
    if callable(thing) and hasattr(thing, "__module__") and thing.__module__.startswith("votecast"):
        assert thing.__doc__


def test_an_unknown_name_lists_the_public_ones():
    with pytest.raises(AttributeError, match="read_votes"):
        _ = votecast.read_vote


def test_importing_votecast_imports_nothing_heavy():
    code = "import sys, json, votecast; print(json.dumps(sorted(m.split('.')[0] for m in sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"numpy", "pyarrow", "sklearn", "scipy", "lightgbm", "pandas", "torch", "pydantic", "cyclopts"}
    assert heavy.isdisjoint(json.loads(found))
