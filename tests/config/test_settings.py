"""Test settings: dotted overrides, all errors at once, nearest key suggested."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from votecast.config import Settings, UserSettings, merge_settings, nest_overrides, read_yaml, user_settings
from votecast.errors import ConfigError
from votecast.splits import FoldSettings


class Inner(Settings):
    trees: int = Field(default=10, ge=1)
    rate: float = 0.1


class Outer(Settings):
    seed: int = 0
    model: Inner = Inner()


def test_all_faults_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        Outer.parse({"sed": 1, "seed": "x", "model": {"trees": 0, "rates": 0.3}}, origin="mine.yaml")
    message = str(caught.value)
    assert message.startswith("mine.yaml: ")
    assert "sed: unknown setting; did you mean seed?" in message
    assert "model.rates: unknown setting; did you mean rate?" in message
    assert "model.trees is 0; it must be greater than or equal to 1" in message
    assert "seed is 'x'; it must be a valid integer" in message


def test_an_unknown_key_far_from_all_others_lists_what_is_allowed():
    with pytest.raises(ConfigError, match=r"zzz: unknown setting; allowed are seed, model"):
        Outer.parse({"zzz": 1})


def test_settings_are_frozen_and_hashed():
    assert Outer().digest == Outer(seed=0).digest != Outer(seed=1).digest
    with pytest.raises(ValueError, match="frozen"):
        Outer().seed = 1


def test_dotted_keys_keep_yaml_types():
    nested = nest_overrides({"a.b": "3", "a.c-d": "true", "e": "[1, 2]", "f": "text", "g": 1.5, "h": "", "i": "null"})
    assert nested == {"a": {"b": 3, "c_d": True}, "e": [1, 2], "f": "text", "g": 1.5, "h": "", "i": None}


@pytest.mark.parametrize("keys", [{"a": "1", "a.b": "2"}, {"a": "[1"}])
def test_contradicting_or_unreadable_overrides_are_refused(keys):
    with pytest.raises(ConfigError, match="--a"):
        nest_overrides(keys)


tree = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)
trees = st.dictionaries(st.sampled_from("abc"), tree, max_size=3)


@given(trees, trees)
def test_merging_is_idempotent_and_nothing_is_neutral(base, over):
    once = merge_settings(base, over)
    assert merge_settings(once, over) == once
    assert merge_settings(base, {}) == base
    assert merge_settings({}, over) == over


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "\x00", "!!python/object/apply:os.system ['true']"])
def test_unfit_yaml_is_one_clear_error(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        read_yaml(tmp_path / "x.yaml")


def test_a_missing_yaml_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml not found"):
        read_yaml(tmp_path / "absent.yaml")


def test_a_rule_between_settings_speaks_for_itself():
    with pytest.raises(ConfigError) as caught:
        FoldSettings.parse({"method": "column"})
    assert "set folds.column" in str(caught.value)
    assert "Value error" not in str(caught.value) and "given" not in str(caught.value)


def test_the_user_settings_file_settles_the_default_judge(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("default_judge: judges/mine\n")
    monkeypatch.setenv("VOTECAST_CONFIG", str(tmp_path / "config.yaml"))
    assert user_settings() == UserSettings(default_judge="judges/mine")
    (tmp_path / "config.yaml").write_text("default_juge: judges/mine\n")
    with pytest.raises(ConfigError, match="did you mean default_judge"):
        user_settings()
    assert UserSettings().default_judge == "bundled:baseline"
