"""All that changes while a model is trained, as numbers and arrays, and back."""

from dataclasses import dataclass, field
from typing import Any

import torch

from .._utils.tensor_file import PersistenceError, take
from .ema import EMA
from .optimizer import AdamW


@dataclass
class Position:
    """Where in its epochs a training is.

    Parameters
    ----------
    epoch : int
        Whole ones that lie behind.
    order : int32 or int64 tensor or None
        Of the rows in the epoch that is going on.
    losses : list of tensor
        Of its steps so far.
    first_loss : float or None
        Of the first step of all.
    """

    epoch: int = 0
    order: torch.Tensor | None = None
    losses: list[torch.Tensor] = field(default_factory=list)
    first_loss: float | None = None


@dataclass
class TrainingState:
    """A training as it is between two steps.

    Parameters
    ----------
    denoiser : Denoiser
    optimizer : AdamW
    ema : EMA
    generator : torch.Generator
    monitor : Monitor or None
    log : list of dict
        One entry an epoch.
    position : Position
    best : list of tensor or None
        Averaged weights of the best epoch; None is the present ones.
    last_good : list of tensor or None
        The best ones or, without a monitor, those of the last epoch.
    ended_by : {"training", "callback", "interrupt"}
        What ended it: training itself, a callback, or Ctrl-C after the first epoch.
    """

    denoiser: Any
    optimizer: AdamW
    ema: EMA
    generator: torch.Generator
    monitor: Any
    log: list[dict[str, Any]]
    position: Position = field(default_factory=Position)
    best: list[torch.Tensor] | None = None
    last_good: list[torch.Tensor] | None = None
    ended_by: str = "training"

    def keep(self, improved: bool) -> None:
        """Keep the averaged weights of an epoch that ended well, `improved` or not."""
        if improved:
            self.best = self.ema.snapshot()  # a new one: Ctrl-C may come at any time
        self.last_good = self.best if self.monitor is not None else self.ema.snapshot()

    def forget_weights(self) -> None:
        """Leave the network as the only one that holds weights, once it has the best ones."""
        self.best = self.last_good = None
        self.ema.average = []
        self.optimizer.zero_grad()

    def packed(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(record, tensors): JSON-able, and ndarrays that share the memory of the training."""
        position = self.position
        record = {
            "epoch": position.epoch,
            "n_updates": self.ema.n_updates,
            "log": [dict(entry) for entry in self.log],
            "monitor": None if self.monitor is None else self.monitor.progress(),
            "has_best": self.best is not None,
            "in_epoch": position.order is not None,
            "first_loss": position.first_loss,
        }
        tensors = numbered("weights", self.denoiser.parameters())
        tensors |= numbered("first", self.optimizer.first)
        tensors |= numbered("second", self.optimizer.second)
        tensors |= numbered("average", self.ema.average)
        tensors |= numbered("best", self.best or [])
        tensors["steps"] = torch.stack(self.optimizer.steps)
        tensors["generator"] = self.generator.get_state()
        if position.order is not None:
            tensors["order"] = position.order.long()
            tensors["losses"] = _stacked(position.losses)
        return record, {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}

    def restore(self, record: dict[str, Any], tensors: dict[str, Any]) -> None:
        """Go on where `packed` was called; arrays are taken out."""
        self.ema.n_updates = record["n_updates"]
        self.log[:] = record["log"]
        if self.monitor is not None:
            self.monitor.go_on(record["monitor"])
        weights = list(self.denoiser.parameters())
        for name, own in (
            ("weights", weights),
            ("first", self.optimizer.first),
            ("second", self.optimizer.second),
            ("average", self.ema.average),
        ):
            fill(name, own, tensors)
        if record["has_best"]:
            self.best = [torch.empty_like(weight) for weight in weights]
            fill("best", self.best, tensors)
        self.last_good = self.best
        if self.monitor is None and self.log:
            self.last_good = self.ema.snapshot()
        steps = take(tensors, "steps", "float32", (len(weights),))
        for own, value in zip(self.optimizer.steps, steps, strict=True):
            own.fill_(float(value))
        state = take(tensors, "generator", "uint8", tuple(self.generator.get_state().shape))
        self.generator.set_state(torch.tensor(state))
        position = self.position = Position(record["epoch"], first_loss=record["first_loss"])
        if record["in_epoch"]:
            device = self.generator.device
            order = take(tensors, "order", "int64", (None,))
            losses = take(tensors, "losses", "float32", (None,))
            position.order = torch.tensor(order, device=device)
            position.losses = list(torch.tensor(losses, device=device))
        if tensors:
            raise PersistenceError(f"It has tensors of no use: {sorted(tensors)!r:.500}.")


def numbered(name, tensors):
    """{name.i: tensor}"""
    return {f"{name}.{i}": tensor for i, tensor in enumerate(tensors)}


def _stacked(losses):
    return torch.stack(losses) if losses else torch.zeros(0)


@torch.no_grad()
def fill(name, own, tensors):
    """Give tensors the values of numbered arrays."""
    for i, tensor in enumerate(own):
        array = take(tensors, f"{name}.{i}", str(tensor.dtype)[6:], tuple(tensor.shape))
        tensor.copy_(torch.from_numpy(array))
