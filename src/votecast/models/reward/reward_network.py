"""Networks and sources of reward models: classifiers of one label, InternLM2 checkpoints, bare causal models."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from votecast.errors import ConfigError
from votecast.models.neural.backbone import Source, check_vocabulary
from votecast.models.neural.config_limits import check_config
from votecast.models.neural.hub import download_model, hub_config, silence_transformers
from votecast.models.neural.internlm2 import is_internlm2, llama_config, read_config, read_reward
from votecast.models.neural.internlm2_tokenizer import InternLM2Tokenizer, is_internlm2_tokenizer
from votecast.models.neural.last_states import last_states
from votecast.models.neural.pair_network import NO_TIE, PairNetwork, classifier_logits, head_in_fp32, last_token_head
from votecast.models.neural.weight_files import weight_files, weights_digest
from votecast.text.tokenization import Tokenizer

LABELS = ("reward",)
"""The output of a reward model."""

# heads are kept in full beside weights of few bits
_HEADS = ["score", "classifier"]
_FILES = ["*.json", "*.safetensors", "*.bin", "tokenizer.model"]


class ClassifierReward(PairNetwork):
    """Compute one reward an answer by a sequence classifier of transformers; two rewards give the odds of A against B.

    Bradley and Terry (1952): P(a) = sigma(r(A) - r(B)). It is trained on decided pairs and gives ties no
    probability; a link makes three probabilities of its rewards.

    Args:
        backbone: A sequence classifier with one label, such as an encoder with a pooler.
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone, self.per_battle = backbone, 2

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Compute rewards of shape (m, 1)."""
        return classifier_logits(self.backbone, ids, mask, types)

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Compute log-probabilities of shape (n, 1, 3)."""
        gap = outputs[:, 0, 0] - outputs[:, 1, 0]  # (n,)
        won, lost = nn.functional.logsigmoid(gap), nn.functional.logsigmoid(-gap)
        return torch.stack([won, lost, torch.full_like(gap, NO_TIE)], dim=1).unsqueeze(1)


class RewardNetwork(ClassifierReward):
    """Compute one reward an answer at the last token of a bare causal model.

    Args:
        backbone: A bare causal model.
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__(backbone)
        self.score = last_token_head(backbone, 1)

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:  # noqa: ARG002
        """Compute rewards of shape (m, 1)."""
        return head_in_fp32(self.score, last_states(self.backbone, ids, mask))


@dataclass(frozen=True)
class InternLM2Source(Source):
    """The folder of an InternLM2 reward checkpoint."""

    def config(self) -> PretrainedConfig:
        """Return its configuration as that of Llama."""
        return llama_config(read_config(Path(self.path)))

    def internlm2_tokenizer(self) -> InternLM2Tokenizer:
        """Load its tokenizer without running the code beside it."""
        found = InternLM2Tokenizer.load(Path(self.path), read_config(Path(self.path)))
        check_vocabulary(self.config(), found.reach, self.path)
        return found


def reward_source(name: str, revision: str | None = None, *, local: bool = False) -> Source:
    """Resolve the setting `model.name`, with the hash of all files of its weights.

    Raises:
        ConfigError: If there is no such model, or it is an InternLM2 model that gives no rewards.
        ArtifactError: If its files cannot be read.
    """
    source = Source.of("tiny:llama" if name == "tiny:internlm2" else name, revision, local=local)
    if source.tiny:
        return source
    folder = Path(source.path)
    values: Mapping[str, object]
    if folder.is_dir():
        values = read_config(folder) if (folder / "config.json").is_file() else {}
        if not (source.base or {}).get("sha256"):
            source = replace(source, base={**(source.base or {}), "sha256": weights_digest(weight_files(folder))})
    else:
        source = source.pinned()
        values = hub_config(source.path, source.revision, local=local)
        if is_internlm2(values):
            folder = download_model(source.path, source.revision, _FILES, local=local)
    if not is_internlm2(values):
        return source
    check_config(values, str(folder))
    llama_config(values)  # another class of InternLM2 is refused before anything is read
    return InternLM2Source(str(folder), source.revision, base=source.base)


def tokenizer_of(source: Source) -> Tokenizer:
    """Load the tokenizer of a reward model; the end of a text pads where it has no padding token."""
    if isinstance(source, InternLM2Source):
        return source.internlm2_tokenizer()
    if is_internlm2_tokenizer(Path(source.path)):
        return InternLM2Tokenizer.load(Path(source.path), {})
    return source.tokenizer(eos_as_padding=True)


def save_reward(network: ClassifierReward, folder: Path) -> None:
    """Write a reward model as a sequence classifier of transformers with one label, in the precision it is held in."""
    model = network.backbone
    if isinstance(network, RewardNetwork):
        config = copy.deepcopy(model.config)
        config.num_labels = len(LABELS)
        if isinstance(quantization := vars(config).get("quantization_config"), BitsAndBytesConfig):
            quantization.llm_int8_skip_modules = _HEADS
        with torch.device("meta"):
            whole = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)](config)
        setattr(whole, whole.base_model_prefix, model)
        whole.score = network.score
        whole.hf_quantizer = vars(model).get("hf_quantizer")
        model = whole
    with silence_transformers():
        model.save_pretrained(folder, save_original_format=False)


def load_reward(
    source: Source, options: Mapping[str, object], *, dropout: float | None, head_given: bool
) -> tuple[PreTrainedModel, Tensor | None]:
    """Load a reward model with some keywords of `from_pretrained`; without `head_given`, a missing head is random.

    Returns:
        A bare causal model and the head from its last state to the reward, shape (1, h); or a whole classifier of one
        label and None.

    Raises:
        ConfigError: If there is no such model, or its head has not one output.
        ArtifactError: If its files are damaged.
    """
    if isinstance(source, InternLM2Source):
        return read_reward(Path(source.path), options)
    if isinstance(quantization := options.get("quantization_config"), BitsAndBytesConfig):
        quantization.llm_int8_skip_modules = _HEADS  # the head is kept in full
    try:
        model = source.load("classifier", dropout=dropout, options=options, labels=LABELS, head_given=head_given)
    except ConfigError as error:
        hint = "; or set model.adapter, which trains a head on votes" if "no head of 1 output" in str(error) else ""
        raise ConfigError(f"{error}{hint}") from error
    model.config.use_cache = False
    # decoders have a bare linear head on the last token; encoders a pooler, and stay whole
    head: nn.Module | None = model.score if hasattr(model, "score") else None
    if not isinstance(head, nn.Linear) or "bias" in dict(head.named_parameters()):
        return model, None
    # the bare model does not know where accelerate has put its layers
    if hasattr(model, "hf_device_map"):
        model.base_model.hf_device_map = model.hf_device_map
    return model.base_model, head.weight.detach().float().cpu()
