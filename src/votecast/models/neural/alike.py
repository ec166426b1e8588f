"""Whether checkpoints can be members of one judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from votecast.errors import ArtifactError
from votecast.models.neural.checkpoint import Checkpoint


def check_alike(first: Checkpoint, other: Checkpoint, between: Sequence[Checkpoint] = ()) -> None:
    """Refuse members that do not belong together.

    Args:
        first: The first member.
        other: The last one.
        between: Members between them, for the search for one that occurs twice.

    Raises:
        ArtifactError: If their tokenizers or architectures differ, or the weights are those of another member.
    """
    if other is first:
        return
    if first.model.config.model_type != other.model.config.model_type or _shapes(first) != _shapes(other):
        raise ArtifactError(
            f"{other.folder} is another architecture ({architecture(other)}) than {first.folder} "
            f"({architecture(first)}); the members of a judge are folds of one model: import them apart"
        )
    if spelling(first.tokenizer) != spelling(other.tokenizer):
        raise ArtifactError(
            f"{other.folder} has another tokenizer than {first.folder}; texts are tokenized once for all members: "
            "import them apart"
        )
    for earlier in (first, *between):
        if sorted(earlier.files.values()) == sorted(other.files.values()):
            raise ArtifactError(f"{earlier.folder} and {other.folder} hold the same weights; name each fold once")


def architecture(checkpoint: Checkpoint) -> str:
    """The class of a model and its size, in words."""
    weights = sum(tensor.numel() for tensor in checkpoint.model.parameters())
    return f"{type(checkpoint.model).__name__}, {weights:,} weights"


def _shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in checkpoint.model.state_dict().items()}


def spelling(known: Any) -> tuple[Any, ...]:
    """What two tokenizers share that make the same ids of every text."""
    return known.tokenizer.backend_tokenizer.to_str(), known.cls_id, known.sep_id, known.pad_id, known.has_types
