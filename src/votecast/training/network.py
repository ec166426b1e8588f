"""The base class of networks that `training.loop` can train, with defaults for what only some networks offer."""

from __future__ import annotations

from torch.nn import Module, Parameter

from votecast.errors import ConfigError


class TrainableNetwork(Module):
    """A network whose forward returns log-probabilities of shape (rows, views, 3).

    Every view is in the battle's own order of answers. Override the methods where the network knows its layers.
    """

    def blocks(self) -> list[Module]:
        """Return the modules that are gathered one at a time where no process holds the whole network."""
        return []

    def layer_groups(self) -> list[list[Parameter]] | None:
        """Return the parameters of each layer, embeddings first and head last; None if the layers are not known."""
        return None

    def gradient_checkpointing_enable(self) -> None:
        """Recompute activations in the backward pass instead of keeping them.

        Raises:
            ConfigError: If the network cannot.
        """
        raise ConfigError("gradient_checkpointing is on, but this network cannot do it; switch it off")
