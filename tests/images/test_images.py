"""The Dockerfiles, carried out step by step in a clean folder and new environments, and what they start.

No container engine builds them here; tests/images/dockerfile.py says what is carried out and what is only checked.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import pytest
from tests.images.dockerfile import Builder, Ignored, Stage, parse
from tests.images.holding import OWN, ROOT, held_in, pins, pip, placed_in
from tests.packaging.fakes import real_wheels

from votecast import load_judge

FILES = ("Dockerfile", "Dockerfile.cuda")
PATIENCE = 120.0
KEY = "a-key-for-nobody-at-all"
BATTLE = {"prompt": "Why is the sky blue?", "response_a": "It scatters blue light.", "response_b": "No idea."}
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """What the Dockerfile makes."""
    place = tmp_path_factory.mktemp("image")
    return Builder(ROOT, place, pip(real_wheels())).build(parse((ROOT / "Dockerfile").read_text()))


@pytest.mark.parametrize("name", FILES)
def test_an_image_is_pinned_small_and_not_run_by_root(name: str) -> None:
    steps = parse((ROOT / name).read_text())
    last = steps[max(n for n, step in enumerate(steps) if step.word == "FROM") :]
    by_word = {step.word: step for step in last}
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", by_word["USER"].rest)
    assert by_word["ENTRYPOINT"].words() == ["votecast"]
    assert by_word["CMD"].words()[:3] == ["serve", "--host", "0.0.0.0"]
    assert by_word["EXPOSE"].rest == "8000"
    assert "http://127.0.0.1:8000/health" in by_word["HEALTHCHECK"].rest
    installs = [part for step in steps if step.word == "RUN" for part in step.rest.split("&&") if "pip " in part]
    assert len(installs) >= 3
    assert all("--no-cache-dir" in part for part in installs)
    assert all("--constraint" in part or "--no-deps" in part for part in installs)
    assert not [step for step in last if step.word == "RUN" and ("pip" in step.rest or "curl" in step.rest)]
    assert not [step for step in steps if "API_KEY" in step.rest]


def test_only_what_an_image_is_made_of_is_sent_to_the_build() -> None:
    ignored = Ignored((ROOT / ".dockerignore").read_text())
    kept = ("pyproject.toml", "README.md", "src/votecast/__init__.py", "requirements/dev.txt", "src/votecast/py.typed")
    gone = (".git/config", ".venv/bin/python", "demo/judge/config.json", "tests/test_wheel.py", "key", ".env")
    gone = (*gone, "src/votecast/__pycache__/errors.cpython-311.pyc", "judges/mine/config.json")
    assert not [name for name in kept if ignored(PurePosixPath(name))]
    assert not [name for name in gone if not ignored(PurePosixPath(name))]


@pytest.mark.parametrize(
    "text",
    ["FROM a\nADD x y", "FROM a\nRUN", "FROM a\nRUN x \\", "from a", "FROM a\nSHELL ['x']", "FROM a\nRUN <<E\nE"],
)
def test_an_instruction_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        parse(text)


def test_the_image_holds_the_service_as_it_is_pinned_and_no_source_or_cache(image: Stage) -> None:
    held = held_in(image)
    pinned = pins("dev.txt")
    assert {"fastapi", "uvicorn", "prometheus-client", "lightgbm"} <= held.keys()
    assert not {"torch", "hatchling", "pytest", "ruff"} & held.keys()
    assert {name: held[name] for name in held if name not in OWN}.items() <= pinned.items()
    assert image.only_checked[:2] == ["apt-get update", "apt-get install --yes --no-install-recommends libgomp1"]
    assert sorted(path.name for path in image.root.iterdir()) == ["judges", "opt", "tmp", "usr"]
    assert [path.name for path in (image.root / "opt").iterdir()] == ["votecast"]


def test_what_the_image_starts_serves_is_healthy_and_ends_on_sigterm(image: Stage) -> None:
    before = _files(image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(image.env, "VOTECAST_API_KEY", KEY)
        process, said, port = _started(image)
        try:
            _wait_until_ready(process, said, port)
            health = [word.replace(":8000/", f":{port}/") for word in image.health]
            healthy = subprocess.run(health, env=image.environment(), capture_output=True, text=True, check=False)
            assert healthy.returncode == 0, healthy.stderr
            assert _ask(port, "/v1/compare", BATTLE, key="another-key-than-that")[0] == 401
            status, answer = _ask(port, "/v1/compare", BATTLE, key=KEY)
            assert status == 200, answer
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0, said
        finally:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
    unhealthy = subprocess.run(health, env=image.environment(), capture_output=True, check=False)
    assert unhealthy.returncode != 0
    expected = load_judge("bundled:baseline").predict_proba([BATTLE])[0]
    assert np.allclose([answer["probabilities"][name] for name in ("a", "b", "tie")], expected, atol=1e-12)
    assert _files(image) == before  # nothing is written but below /tmp: the root can be read-only


def test_without_a_key_the_image_does_not_start(image: Stage) -> None:
    words = [*image.entrypoint, *image.command]
    ran = subprocess.run(placed_in(image, words), env=image.environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "VOTECAST_API_KEY" in ran.stderr


def _files(stage: Stage) -> set[str]:
    found = (path.relative_to(stage.root).as_posix() for path in stage.root.rglob("*"))
    return {name for name in found if not name.startswith("tmp/")}


def _started(stage: Stage) -> tuple[subprocess.Popen[str], list[str], int]:
    words = [*stage.entrypoint, *stage.command, "--port", "0"]
    at = stage.root / str(stage.workdir).lstrip("/")
    process = subprocess.Popen(
        placed_in(stage, words),
        env=stage.environment(),
        cwd=at,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True).start()
    for _ in _patience():
        if found := re.search(r"listening on http://\S+:(\d+)", "".join(said)):
            return process, said, int(found[1])
        assert process.poll() is None, said
    raise AssertionError(said)


def _wait_until_ready(process: subprocess.Popen[str], said: list[str], port: int) -> None:
    for _ in _patience():
        with contextlib.suppress(ConnectionRefusedError):
            if _ask(port, "/ready", key=KEY)[0] == 200:
                return
        assert process.poll() is None, said
    raise AssertionError(said)


def _ask(port: int, path: str, body: dict[str, str] | None = None, *, key: str) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    status, text = answer.status, answer.read()
    connection.close()
    return status, json.loads(text)


def _patience() -> Iterator[None]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        yield
        time.sleep(0.05)
