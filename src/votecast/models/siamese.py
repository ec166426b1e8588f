"""The siamese family: one encoder reads (prompt, A) and (prompt, B), and a small head compares."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.functional import log_softmax
from transformers import PreTrainedModel

from votecast.calibration.tie_models import prior_closeness
from votecast.config import Settings
from votecast.features.style import FORM
from votecast.models.neural.backbone import Kind
from votecast.models.neural.examples import NeuralPrepared
from votecast.models.neural.neural_model import NeuralModel
from votecast.models.neural.pair_network import SWAPPED, PairNetwork, Pooling, pool, type_inputs
from votecast.models.neural.settings import OffsetSettings, SiameseSettings
from votecast.text.encoder import Encoded
from votecast.text.truncation import TruncationReport
from votecast.types import Floats, Probabilities


class LinkedNetwork(PairNetwork):
    """Link one score an answer and one closeness a pair so that the order of the answers does not matter.

    With d = s(A) - s(B) and closeness t = c + t(A) + t(B) + u |form(A) - form(B)|:
    Davidson (1970), eq. 2: a : b : tie = exp(d / 2) : exp(-d / 2) : exp(t);
    Rao and Kupper (1967), eq. 2.3: P(a) = sigma(d - e), P(b) = sigma(-d - e), the rest is a tie, with e = softplus(t).

    Args:
        backbone: A bare encoder.
        pooling: `mean` over the tokens of the sequence, or `cls` for its first.
        link: `davidson` or `rao_kupper`.
        form: Whether length and layout add to the score.
        form_bound: The largest part of d that the form can make up, in log odds.
        starts_at_ties: Whether the closeness starts at the share of ties, and not at that of an offset.
    """

    def __init__(
        self,
        backbone: PreTrainedModel,
        *,
        pooling: Pooling,
        link: Literal["davidson", "rao_kupper"],
        form: bool,
        form_bound: float | None,
        starts_at_ties: bool = True,
    ) -> None:
        super().__init__()
        self.per_battle, self.backbone = 2, backbone
        self.pooling, self.link, self.form_bound = pooling, link, form_bound
        self.starts_at_ties = starts_at_ties
        self.head = nn.Linear(backbone.config.hidden_size, 2)
        # as the heads of BERT start: all battles near the same odds
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.constant = Parameter(torch.zeros(1))
        self.form_score = Parameter(torch.zeros(len(FORM))) if form else None
        self.form_closeness = Parameter(torch.zeros(len(FORM))) if form else None
        self.form_mean: Tensor
        self.form_scale: Tensor
        self.register_buffer("form_mean", torch.zeros(len(FORM)))
        self.register_buffer("form_scale", torch.ones(len(FORM)))

    def start(self, targets: Probabilities, weights: Floats, form: NDArray[np.float32] | None) -> None:
        """Start at the share of ties, with forms of mean 0 and deviation 1."""
        with torch.no_grad():
            if self.starts_at_ties:
                self.constant.fill_(prior_closeness(targets, weights))
            if form is not None and len(form):
                flat = form.reshape(-1, form.shape[-1]).astype(np.float64)
                self.form_mean.copy_(torch.from_numpy(flat.mean(axis=0)))
                # a form that hardly varies is not blown up: deviations below 0.1 count as 0.1
                self.form_scale.copy_(torch.from_numpy(np.maximum(flat.std(axis=0), 0.1)))

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Compute score and closeness of each answer, shape (m, 2)."""
        states = self.backbone(ids, attention_mask=mask, **type_inputs(self.backbone, types)).last_hidden_state
        return cast("Tensor", self.head(pool(states, mask, self.pooling)))

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:
        """Compute log-probabilities of shape (n, 1, 3)."""
        d = outputs[:, 0, 0] - outputs[:, 1, 0]  # (n,)
        t = self.constant.to(outputs.dtype) + (outputs[:, 0, 1] + outputs[:, 1, 1])
        if self.form_score is not None and self.form_closeness is not None and form is not None:
            form = ((form - self.form_mean) / self.form_scale).to(outputs.dtype)
            gap = form[:, 0] - form[:, 1]  # (n, 6)
            lean = gap @ self.form_score.to(outputs.dtype)
            d = d + (lean if self.form_bound is None else self.form_bound * torch.tanh(lean / self.form_bound))
            t = t + gap.abs() @ self.form_closeness.to(outputs.dtype)
        if offset is not None:
            d, t = d + offset[:, 0].to(d.dtype), t + offset[:, 1].to(t.dtype)
        # strength and closeness come from both answers symmetrically: swapping them swaps columns a and b exactly
        if self.link == "davidson":
            return log_softmax(torch.stack([d / 2, -d / 2, t], dim=1), dim=1).unsqueeze(1)
        e = nn.functional.softplus(t)
        a, b = nn.functional.logsigmoid(d - e), nn.functional.logsigmoid(-d - e)
        # 1 - sigma(d - e) - sigma(-d - e) = (exp(2 e) - 1) sigma(d - e) sigma(-d - e)
        tie = torch.log(torch.expm1(2 * e).clamp(min=1e-30)) + (a + b)
        return torch.stack([a, b, tie], dim=1).unsqueeze(1)


class ConcatNetwork(PairNetwork):
    """Classify both pooled outputs, concatenated, by one dense layer; both orders cost one pass of the backbone.

    Args:
        backbone: A bare encoder.
        pooling: `mean` over the tokens of the sequence, or `cls` for its first.
    """

    def __init__(self, backbone: PreTrainedModel, *, pooling: Pooling) -> None:
        super().__init__()
        self.per_battle, self.backbone, self.pooling = 2, backbone, pooling
        self.head = nn.Linear(2 * backbone.config.hidden_size, 3)

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Compute pooled states of each answer, shape (m, h)."""
        states = self.backbone(ids, attention_mask=mask, **type_inputs(self.backbone, types)).last_hidden_state
        return pool(states, mask, self.pooling)

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Compute log-probabilities of shape (n, 2, 3)."""
        outputs = outputs.to(self.head.weight.dtype)
        # (n, 2, h) flattened is A beside B, and flipped B beside A
        one, two = (log_softmax(self.head(halves.flatten(1)), dim=-1) for halves in (outputs, outputs.flip(1)))
        return torch.stack([one, two[:, SWAPPED]], dim=1)


class SiameseModel(NeuralModel):
    """One score an answer, linked by Davidson or Rao and Kupper; or both pooled outputs, concatenated.

    The order of the answers does not matter: by construction with a link, by averaging both orders with `concat`.
    """

    settings_type: ClassVar[type[Settings]] = SiameseSettings
    settings: SiameseSettings
    kind: ClassVar[Kind] = "encoder"

    @property
    def uses_form(self) -> bool:
        """Whether length and layout add to the score."""
        return self.settings.form and self.settings.head != "concat"

    @property
    def offset_settings(self) -> OffsetSettings | None:
        """Settings of the judge whose predictions the network starts from."""
        return self.settings.offset

    def encode_battles(self, prepared: NeuralPrepared) -> tuple[Encoded, ...]:
        """Return (prompt, A) and (prompt, B) of each battle."""
        return self.text.answers(prepared.tokens, "a"), self.text.answers(prepared.tokens, "b")

    def truncation(self, prepared: NeuralPrepared) -> TruncationReport:
        """Return what was truncated of the prompt beside A, of A and of B."""
        return TruncationReport.of_answers(*(part.cut for part in self.encode_battles(prepared)))

    def wrap(self, backbone: PreTrainedModel) -> PairNetwork:
        """Make the network with the head that the settings name."""
        if self.settings.head == "concat":
            return ConcatNetwork(backbone, pooling=self.settings.pooling)
        return LinkedNetwork(
            backbone,
            pooling=self.settings.pooling,
            link=self.settings.head,
            form=self.uses_form,
            form_bound=self.settings.form_bound,
            starts_at_ties=self.settings.offset is None,
        )
