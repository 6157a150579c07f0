"""Several fits in a row as one that can be stopped: those that ended are not made again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from pipeline.training.checkpoint import Progress
from pipeline.training.training import Fit


@dataclass
class Phases:
    """The fits of a run in order, each with its checkpoint: those that ended are not made again after a stop."""

    checkpoint: Progress | None
    done: list[dict[str, Any]] = field(default_factory=list)
    state: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        saved = self.checkpoint.load() if self.checkpoint else None
        if saved is not None:
            self.done, self.state = list(saved["done"]), saved["fit"]

    def fitted(self, number: int, network: Callable[[], nn.Module], fit: Callable[[Progress | None], Fit]) -> Fit:
        """The fit of this number, made or as it was made before a stop.

        Args:
            network: one whose weights are replaced by those of a fit that ended.
        """
        if number < len(self.done):
            one = self.done[number]
            restored = network()
            restored.load_state_dict(one["weights"])
            return Fit(restored.eval(), one["epoch"], one["epochs"], (len(one["epochs"]), 0), one["seconds"])
        found = fit(self if self.checkpoint else None)
        if self.checkpoint:
            weights = found.network.state_dict()
            ended = {"epoch": found.epoch, "epochs": found.epochs, "weights": weights, "seconds": found.seconds}
            self.done, self.state = [*self.done, ended], None
            self.checkpoint.save({"done": self.done, "fit": None})
        return found

    # The checkpoint of the fit that goes on.

    def load(self) -> Any:
        """Its state, if it was stopped."""
        return self.state

    def save(self, state: Mapping[str, Any]) -> None:
        """Write it down, beside those that ended."""
        assert self.checkpoint is not None  # noqa: S101
        self.checkpoint.save({"done": self.done, "fit": state})

    def due(self) -> bool:
        """As the checkpoint says."""
        return self.checkpoint is not None and self.checkpoint.due()
