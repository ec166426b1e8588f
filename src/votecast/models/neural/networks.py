"""The networks of the neural families: token ids in, log-probabilities of A, B and tie out, one view for each order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.functional import log_softmax

from votecast.calibration.tie_models import prior_closeness
from votecast.features.style import FORM
from votecast.inference.layers import is_spread
from votecast.models.neural.causal import last_states
from votecast.types import Probabilities

SWAPPED = [1, 0, 2]
"""Columns of A, B and tie once the answers are swapped; `swap_columns` for tensors."""

NO_TIE = -30.0
"""Log-probability of a tie where there is none."""


class PairNetwork(nn.Module):
    """What the engines ask of a network.

    Attributes:
        per_battle: Sequences of one battle, k.
        backbone: The encoder of transformers.
    """

    per_battle: int
    backbone: Any

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Vectors of shape (m, d) for m sequences of L tokens: ids, mask and types have shape (m, L)."""
        raise NotImplementedError

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:
        """Log-probabilities of shape (n, views, 3).

        Args:
            outputs: Shape (n, k, d).
            form: Length and layout of both answers, shape (n, 2, 6).
            offset: Strength and closeness to start from, shape (n, 2).
        """
        raise NotImplementedError

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        types: Tensor | None = None,
        form: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> Tensor:
        """Log-probabilities of shape (n, views, 3); the k sequences of battle i stand at i, n + i, 2n + i ..."""
        outputs = self.encode(ids, mask, types)  # (k * n, d)
        return self.decide(outputs.view(self.per_battle, -1, outputs.shape[-1]).transpose(0, 1), form, offset)

    def start(self, targets: Probabilities, weights: NDArray[np.float64], form: NDArray[np.float32] | None) -> None:
        """Take from the training rows what is known before the first step."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast, but leave a backbone where it is that lies on several devices."""
        move: Callable[..., Self] = super()._apply
        backbone = self._modules.get("backbone")
        if not is_spread(backbone):
            return move(fn, recurse)
        self._modules["backbone"] = None
        try:
            return move(fn, recurse)
        finally:
            self._modules["backbone"] = backbone

    def gradient_checkpointing_enable(self) -> None:
        """Compute activations again in the backward pass rather than keep them."""
        model = self.backbone.get_base_model() if hasattr(self.backbone, "get_base_model") else self.backbone
        old_name = model.gradient_checkpointing_enable  # of older releases of transformers
        getattr(model, "activation_checkpointing_enable", old_name)({"use_reentrant": False})
        if getattr(model, "_require_grads_hook", None) is not None:
            model.disable_input_require_grads()  # frozen embeddings need no gradient for this kind of checkpointing

    def blocks(self) -> list[nn.Module]:
        """The layers, which one process after the other can hold for a moment where none holds the whole network."""
        return list(layers_of(base_encoder(self.backbone)))

    def layer_groups(self) -> list[list[Parameter]]:
        """Parameters from the embeddings over each layer to the head."""
        base = base_encoder(self.backbone)
        groups = [list(embeddings_of(base).parameters()), *(list(layer.parameters()) for layer in layers_of(base))]
        seen = {id(parameter) for group in groups for parameter in group}
        return [*groups, [parameter for parameter in self.parameters() if id(parameter) not in seen]]


class CrossNetwork(PairNetwork):
    """Prompt and both answers in one sequence, classified; with both orders, each is a view of its own.

    Args:
        model: A sequence classifier of transformers with the labels a, b and tie in this order.
        both_orders: Whether a battle is read in both orders.
    """

    def __init__(self, model: Any, *, both_orders: bool) -> None:
        super().__init__()
        self.backbone = model
        self.per_battle = 1 + both_orders

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Logits of shape (m, 3), in the order in which the sequence shows the answers."""
        return cast("Tensor", self.backbone(ids, attention_mask=mask, **_types(self.backbone, types)).logits).float()

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Log-probabilities of shape (n, k, 3), the second view turned back to the battle's own order."""
        return _views(outputs, offset)


class DecoderNetwork(PairNetwork):
    """Prompt and both answers in one sequence, classified by a causal model at the last token.

    Args:
        backbone: A bare causal model.
        both_orders: Whether a battle is read in both orders.
    """

    def __init__(self, backbone: Any, *, both_orders: bool) -> None:
        super().__init__()
        self.backbone, self.per_battle = backbone, 1 + both_orders
        self.score = last_token_head(backbone, 3)

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:  # noqa: ARG002
        """Logits of shape (m, 3), in the order in which the sequence shows the answers."""
        return _in_full(self.score, last_states(self.backbone, ids, mask))

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Log-probabilities of shape (n, k, 3), the second view turned back to the battle's own order."""
        return _views(outputs, offset)


class RewardNetwork(PairNetwork):
    """One reward an answer, read by a causal model at the last token; two rewards make the odds of A against B.

    Bradley and Terry (1952): P(a) = sigma(r(A) - r(B)). A tie has no chance here: decided pairs are what it learns
    from, and a link makes three probabilities of its rewards.

    Args:
        backbone: A bare causal model.
    """

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone, self.per_battle = backbone, 2
        self.score = last_token_head(backbone, 1)

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:  # noqa: ARG002
        """Rewards of shape (m, 1)."""
        return _in_full(self.score, last_states(self.backbone, ids, mask))

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Log-probabilities of shape (n, 1, 3)."""
        gap = outputs[:, 0, 0] - outputs[:, 1, 0]
        won, lost = nn.functional.logsigmoid(gap), nn.functional.logsigmoid(-gap)
        return torch.stack([won, lost, torch.full_like(gap, NO_TIE)], dim=1).unsqueeze(1)


class LinkedNetwork(PairNetwork):
    """One score an answer and one closeness a pair, linked so that the order of the answers plays no part.

    With d = s(A) - s(B) and closeness t = c + t(A) + t(B) + u |form(A) - form(B)|:
    Davidson (1970), eq. 2: a : b : tie = exp(d / 2) : exp(-d / 2) : exp(t);
    Rao and Kupper (1967), eq. 2.3: P(a) = sigma(d - e), P(b) = sigma(-d - e), the rest is a tie, with e = softplus(t).

    Args:
        backbone: A bare encoder.
        pooling: `mean` over the tokens of the sequence, or `cls` for its first.
        link: `davidson` or `rao_kupper`.
        form: Whether length and layout add to the score.
        form_bound: The largest part of d that the form can make up, in log odds.
        from_nothing: Whether the closeness starts at the share of ties, and not at that of an offset.
    """

    def __init__(
        self,
        backbone: Any,
        *,
        pooling: Literal["mean", "cls"],
        link: Literal["davidson", "rao_kupper"],
        form: bool,
        form_bound: float | None,
        from_nothing: bool = True,
    ) -> None:
        super().__init__()
        self.per_battle, self.backbone = 2, backbone
        self.pooling, self.link, self.form_bound = pooling, link, form_bound
        self.from_nothing = from_nothing
        self.head = nn.Linear(backbone.config.hidden_size, 2)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.constant = Parameter(torch.zeros(1))
        self.form_score = Parameter(torch.zeros(len(FORM))) if form else None
        self.form_closeness = Parameter(torch.zeros(len(FORM))) if form else None
        self.form_mean: Tensor
        self.form_scale: Tensor
        self.register_buffer("form_mean", torch.zeros(len(FORM)))
        self.register_buffer("form_scale", torch.ones(len(FORM)))

    def start(self, targets: Probabilities, weights: NDArray[np.float64], form: NDArray[np.float32] | None) -> None:
        """Begin at the share of ties, with forms of mean 0 and deviation 1."""
        with torch.no_grad():
            if self.from_nothing:
                self.constant.fill_(prior_closeness(targets, weights))
            if form is not None and len(form):
                flat = form.reshape(-1, form.shape[-1]).astype(np.float64)
                self.form_mean.copy_(torch.from_numpy(flat.mean(axis=0)))
                self.form_scale.copy_(torch.from_numpy(np.maximum(flat.std(axis=0), 0.1)))

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Score and closeness of each answer, shape (m, 2)."""
        states = self.backbone(ids, attention_mask=mask, **_types(self.backbone, types)).last_hidden_state
        return cast("Tensor", self.head(pooled(states, mask, self.pooling)))

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:
        """Log-probabilities of shape (n, 1, 3)."""
        d = outputs[:, 0, 0] - outputs[:, 1, 0]
        t = self.constant.to(outputs.dtype) + (outputs[:, 0, 1] + outputs[:, 1, 1])
        if self.form_score is not None and self.form_closeness is not None and form is not None:
            form = ((form - self.form_mean) / self.form_scale).to(outputs.dtype)
            gap = form[:, 0] - form[:, 1]
            lean = gap @ self.form_score.to(outputs.dtype)
            d = d + (lean if self.form_bound is None else self.form_bound * torch.tanh(lean / self.form_bound))
            t = t + gap.abs() @ self.form_closeness.to(outputs.dtype)
        if offset is not None:
            d, t = d + offset[:, 0].to(d.dtype), t + offset[:, 1].to(t.dtype)
        return (_davidson(d, t) if self.link == "davidson" else _rao_kupper(d, t)).unsqueeze(1)


class ConcatNetwork(PairNetwork):
    """System 5's head: both pooled outputs, concatenated, through one dense layer; both orders at no backbone cost.

    Args:
        backbone: A bare encoder.
        pooling: `mean` over the tokens of the sequence, or `cls` for its first.
    """

    def __init__(self, backbone: Any, *, pooling: Literal["mean", "cls"]) -> None:
        super().__init__()
        self.per_battle, self.backbone, self.pooling = 2, backbone, pooling
        self.head = nn.Linear(2 * backbone.config.hidden_size, 3)

    def encode(self, ids: Tensor, mask: Tensor, types: Tensor | None) -> Tensor:
        """Pooled states of each answer, shape (m, h)."""
        states = self.backbone(ids, attention_mask=mask, **_types(self.backbone, types)).last_hidden_state
        return pooled(states, mask, self.pooling)

    def decide(self, outputs: Tensor, form: Tensor | None, offset: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Log-probabilities of shape (n, 2, 3)."""
        outputs = outputs.to(self.head.weight.dtype)
        one, two = (log_softmax(self.head(halves.flatten(1)), dim=-1) for halves in (outputs, outputs.flip(1)))
        return torch.stack([one, two[:, SWAPPED]], dim=1)


def pooled(states: Tensor, mask: Tensor, pooling: Literal["mean", "cls"]) -> Tensor:
    """One vector of shape (m, h), in fp32, from states of shape (m, L, h) and a mask of shape (m, L)."""
    if pooling == "cls":
        return states[:, 0].float()
    weights = mask.unsqueeze(-1).float()
    return (states.float() * weights).sum(1) / weights.sum(1).clamp(min=1)


def last_token_head(backbone: Any, outputs: int) -> nn.Linear:
    """A head over one state; it begins at 0, so that training begins at even odds, or at the offset."""
    head = nn.Linear(backbone.config.get_text_config().hidden_size, outputs, bias=False)
    nn.init.zeros_(head.weight)
    return head


def base_encoder(model: Any) -> Any:
    """The encoder inside a classifier or an adapter, or the model itself."""
    if hasattr(model, "get_base_model"):
        model = model.get_base_model()
    return model.base_model


def embeddings_of(base: Any) -> nn.Module:
    """The embeddings of an encoder or decoder."""
    return cast("nn.Module", base.embeddings if hasattr(base, "embeddings") else base.embed_tokens)


def layers_of(base: Any) -> Iterable[nn.Module]:
    """The layers of an encoder, the lowest first."""
    return cast("Iterable[nn.Module]", base.encoder.layer if hasattr(base, "encoder") else base.layers)


def freeze(model: Any, *, embeddings: bool, layers: int) -> None:
    """Leave embeddings, or the lowest layers, or both as they are."""
    base = base_encoder(model)
    frozen = [embeddings_of(base)] if embeddings else []
    frozen += list(layers_of(base))[:layers]
    for module in frozen:
        module.requires_grad_(False)


def _types(model: Any, types: Tensor | None) -> dict[str, Tensor]:
    known = getattr(base_encoder(model).config, "type_vocab_size", 0) or 0
    return {} if types is None or known < 2 else {"token_type_ids": types.clamp(max=known - 1)}


def without_backbone(network: PairNetwork) -> PairNetwork:
    """A copy of a network that can decide and not encode, on the CPU; its backbone stays where it lies."""
    made = copy.deepcopy(network, {id(network.backbone): None})
    return made.to("cpu")


def _in_full(head: nn.Module, states: Tensor) -> Tensor:
    """What a head makes of states in fp32, whatever the layers below are rounded to."""
    with torch.autocast(states.device.type, enabled=False):
        return cast("Tensor", head(states.float()))


def _views(logits: Tensor, offset: Tensor | None) -> Tensor:
    """Log-probabilities of shape (n, k, 3) from logits of k orders; an offset is a strength and a closeness."""
    if offset is not None:
        half, t = offset[:, 0].to(logits.dtype) / 2, offset[:, 1].to(logits.dtype)
        shown = torch.stack([half, -half, t], dim=1)
        logits = logits + torch.stack([shown, shown[:, SWAPPED]], dim=1)[:, : logits.shape[1]]
    views = log_softmax(logits, dim=-1)
    return views if views.shape[1] == 1 else torch.stack([views[:, 0], views[:, 1, SWAPPED]], dim=1)


def _davidson(d: Tensor, t: Tensor) -> Tensor:
    return log_softmax(torch.stack([d / 2, -d / 2, t], dim=1), dim=1)


def _rao_kupper(d: Tensor, t: Tensor) -> Tensor:
    e = nn.functional.softplus(t)
    a, b = nn.functional.logsigmoid(d - e), nn.functional.logsigmoid(-d - e)
    # 1 - sigma(d - e) - sigma(-d - e) = (exp(2 e) - 1) sigma(d - e) sigma(-d - e)
    return torch.stack([a, b, torch.log(torch.expm1(2 * e).clamp(min=1e-30)) + (a + b)], dim=1)
