"""From the name of a judge to the judge."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from votecast.config import user_settings
from votecast.errors import ArtifactError
from votecast.judges.judge import TrainedJudge

BUNDLED = "bundled:"
DEFAULT = "default"


def load_judge(name: str | Path = DEFAULT) -> TrainedJudge:
    """Load a judge.

    Args:
        name: A judge folder; `bundled:NAME` for one that ships with votecast; or `default`, which is
            `bundled:baseline` unless the user's settings file says otherwise.

    Raises:
        ArtifactError: If there is no such judge, or its folder is damaged.

    Example:
        >>> load_judge("bundled:baseline").name
        'baseline'
    """
    text = str(name)
    if text == DEFAULT:
        text = str(user_settings().get("default_judge", "bundled:baseline"))
    if text.startswith(BUNDLED):
        return TrainedJudge.from_pretrained(_bundled(text.removeprefix(BUNDLED)))
    return TrainedJudge.from_pretrained(Path(text).expanduser())


def bundled_names() -> list[str]:
    """The judges that ship with votecast."""
    root = Path(str(resources.files("votecast"))) / "bundled"
    return sorted(path.name for path in root.iterdir() if (path / "config.json").is_file()) if root.is_dir() else []


def _bundled(name: str) -> Path:
    if name not in bundled_names():
        known = ", ".join(BUNDLED + known for known in bundled_names()) or "none"
        raise ArtifactError(f"there is no judge {BUNDLED + name!r}; those that ship with votecast are {known}")
    return Path(str(resources.files("votecast"))) / "bundled" / name
