"""What the judges on causal models share: how their weights are held, adapters that stay beside them, and padding."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from votecast.judges.neural.backbone import Kind
from votecast.judges.neural.networks import PairNetwork
from votecast.judges.neural.offset_model import OffsetModel
from votecast.judges.neural.quantized import computing_in, load_options
from votecast.text.tokenizer import Tokenizer


class CausalModel(OffsetModel):
    """A member of a judge on a causal language model."""

    kind: ClassVar[Kind] = "decoder"

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The backbone's tokenizer; the end of a text fills up where it has no padding token."""
        return self.source.tokenizer(eos_as_padding=True)

    @property
    def merges(self) -> bool:
        """Whether adapters are added to the weights for forecasts: exact in fp32 alone."""
        return bool(self.settings.adapter is not None and self.settings.weights == "fp32")

    def backbone(self) -> Any:
        """The bare model, its weights held as the settings say."""
        held = self.settings
        options = load_options(held.weights, held.double_quantization, held.compute, self.source.config())
        if held.device_map is not None:
            options["device_map"] = held.device_map
        return computing_in(held.compute, self.source.load(self.kind, dropout=held.dropout, options=options))

    def begin(self, network: PairNetwork) -> PairNetwork:
        """The network with the adapter that training is to begin with."""
        if self.settings.start is not None:
            from votecast.judges.neural import adapters

            adapters.load_adapter(network, self.settings.start)  # type: ignore[attr-defined]
        return network
