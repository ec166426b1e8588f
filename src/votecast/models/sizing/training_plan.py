"""What one device does when a recipe's network is trained: its passes, their memory, and their arithmetic.

`judges.estimate` makes a plan from votes; training makes one from the settings alone, before anything is loaded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from transformers import PretrainedConfig

from votecast.config.extras import need
from votecast.config.precision import Precision
from votecast.errors import ConfigError, JudgeError, MissingExtraError
from votecast.models.keras_siamese.settings import KerasSiameseSettings
from votecast.models.neural.backbone import Source
from votecast.models.neural.neural_model import NeuralModel
from votecast.models.neural.settings import SiameseSettings
from votecast.models.registry import family
from votecast.models.sizing.network_size import PUBLISHED, NetworkSize, find_config, network_on_meta
from votecast.models.sizing.training_memory import MemoryParts, NumberFormats, number_formats, training_memory
from votecast.text.character_tokenizer import CharacterTokenizer
from votecast.text.tokenization import load_tokenizer
from votecast.training.settings import TrainingSettings


@dataclass(frozen=True)
class TrainingPlan:
    """The network of a recipe, and its training on one device.

    Args:
        model: A member that is not trained; that of a Keras judge is its twin in torch, of the same size.
        config: The configuration of its backbone.
        size: Its parameters.
        length: Tokens of the longest sequence.
        views: Sequences of a row in training.
        is_keras: Whether Keras trains it, whose batches are one pass.
    """

    model: NeuralModel
    config: PretrainedConfig
    size: NetworkSize
    length: int
    views: int
    is_keras: bool = False

    @classmethod
    def of(cls, family_name: str, settings: Any, *, seed: int = 0) -> TrainingPlan:
        """Plan the training of a neural family, for sequences as long as `text.max_length` allows.

        Raises:
            ConfigError: If the shape of the network is not known without the network.
        """
        is_keras = isinstance(settings, KerasSiameseSettings)
        if is_keras:
            settings, family_name = _twin(settings), "siamese"
        model = family(family_name)(settings, seed=seed)
        assert isinstance(model, NeuralModel), "the families of networks"
        config = find_config(settings.name, settings.revision)
        size = NetworkSize.of(network_on_meta(model, config))
        two = family_name in ("siamese", "reward") or settings.orders == "both"
        return cls(model, config, size, settings.text.max_length, 1 + two, is_keras)

    @property
    def training(self) -> TrainingSettings:
        """How it is trained."""
        return cast("TrainingSettings", self.model.settings.training)

    @property
    def is_trained(self) -> bool:
        """Whether the network learns; a reward model without adapter does not."""
        return getattr(self.model, "is_trained", True)

    @property
    def rows_a_pass(self) -> int:
        """Rows of the longest kind in one pass."""
        wide = 8 * math.ceil(self.length / 8) * self.views
        return min(self.training.batch_size, max(1, self.training.max_tokens // wide))

    @property
    def passes(self) -> int:
        """Passes of a step of such rows."""
        return math.ceil(self.training.batch_size / self.rows_a_pass)

    def formats(self, precision: Precision) -> NumberFormats:
        """Return how numbers are held and computed on a device whose `auto` is this precision."""
        asked = self.training.precision
        return number_formats(self.model.settings, precision if asked == "auto" else asked)

    def memory(self, precision: Precision, *, on_cpu: bool = False) -> MemoryParts:
        """Return the memory of the training, or of predictions where nothing is trained."""
        adapter = self.model.settings.adapter
        return training_memory(
            self.config,
            self.size if self.is_trained else replace(self.size, trained=0, trained_sizes=(), lowest=self.size.layers),
            self.training,
            self.formats(precision),
            (self.rows_a_pass * self.views, self.length) if self.is_trained else (1, self.length),
            passes=self.passes if self.is_trained else 1,
            dropout=0.0 if adapter is None else adapter.dropout,
            on_cpu=on_cpu,
        )

    def changed(self, changes: dict[str, Any]) -> TrainingPlan:
        """Return the plan under other settings, by dotted key, that leave the network's parameters as they are.

        Example:
            >>> from votecast.models.neural.settings import SiameseSettings
            >>> plan = TrainingPlan.of("siamese", SiameseSettings(name="tiny:bert"))
            >>> plan.changed({"training.max_tokens": 64}).training.max_tokens
            64
        """
        settings = self.model.settings
        for key, value in changes.items():
            part, _, name = key.rpartition(".")
            inner = {name: value} if not part else {part: getattr(settings, part).model_copy(update={name: value})}
            settings = settings.model_copy(update=inner)
        made = type(self.model)(settings, seed=self.model.seed)
        return replace(self, model=made, length=min(self.length, settings.text.max_length))

    @cached_property
    def has_tokenizer(self) -> bool:
        """Whether the model's own tokenizer is here; else the member gets one that counts characters."""
        name = self.model.settings.name
        try:
            folder = _cached_folder(name) if name in PUBLISHED or self.is_keras else None
            if folder is not None:
                self.model.tokenizer = load_tokenizer(folder, eos_as_padding=True)
            elif name in PUBLISHED or not _is_here(name):
                self.model.tokenizer = CharacterTokenizer()
                return False
            _ = self.model.tokenizer
        except (ConfigError, JudgeError, MissingExtraError):
            self.model.tokenizer = CharacterTokenizer()
            return False
        return True

    def flops_a_token(self) -> tuple[float, float]:
        """Return the operations of a token in a pass forwards, and in a step of training.

        Two for every weight of a product forwards; as many again for the gradient of what goes in, in the layers above
        the lowest that learns, and for that of the weights that learn. Checkpointing computes these layers once more.
        """
        size, config = self.size, self.config
        forward = 2.0 * size.linear + 2.0 * size.layers * self.length * config.hidden_size
        above = 1 - max(size.lowest, 0) / size.layers
        weights = forward if not size.adapted else 2.0 * size.trained
        again = forward * above if self.training.gradient_checkpointing else 0.0
        return forward, forward * (1 + above) + weights + again


def _twin(settings: KerasSiameseSettings) -> SiameseSettings:
    """Return the settings of the network in torch that is as large as one in Keras."""
    held = settings.training
    training = {"epochs": held.epochs, "batch_size": held.batch_size, "valid_share": held.valid_share}
    # a batch is one pass, and JAX keeps the activations of all its layers
    whole = {"max_tokens": 2 * held.batch_size * (settings.text.max_length + 8)}
    tiny = settings.name.startswith("tiny:")
    name = settings.name.replace("deberta_v3", "deberta-v2") if tiny else settings.name
    return SiameseSettings.parse(
        {"name": name, "head": "concat", "text": settings.text.dump(), "training": training | whole}, origin="estimate"
    )


def _is_here(name: str) -> bool:
    source = Source.of("tiny:llama" if name == "tiny:internlm2" else name)
    return bool(source.tiny) or Path(source.path).is_dir()


def _cached_folder(name: str) -> Path | None:
    """Return the folder of a model in the cache of the hub that holds its tokenizer; None without one."""
    if name.count("/") != 1:
        return None
    found = need("huggingface_hub").try_to_load_from_cache(name, "tokenizer.json")
    return Path(found).parent if isinstance(found, str) else None
