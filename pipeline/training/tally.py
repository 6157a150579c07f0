"""The results of an epoch on a set: mean loss and optimizing metric."""

from typing import Any

import torch
from torch import Tensor

from pipeline.metrics.metric import Metric, Tally
from pipeline.models.prediction import probabilities_of
from pipeline.problem.framing import Outputs


class EpochTally:
    """Mean loss and optimizing metric of the batches so far."""

    def __init__(self, metric: Metric, classes: int) -> None:
        self._images = 0
        self._loss = 0.0
        self._tally = Tally(metric, classes)
        self._numbers = metric.judges_numbers

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss, logits (n, k) and class numbers (n,), labels (n, k) or numbers (n,)."""
        outputs: Outputs = "numbers" if self._numbers else "labels" if labels.ndim > 1 else "classes"
        self._images += len(labels)
        self._loss += float(loss) * len(labels)
        self._tally.add(labels.cpu().numpy(), probabilities_of(logits.float(), outputs).cpu().numpy())

    def state(self) -> dict[str, Any]:
        """What the batches so far left behind, at least one, for `go_on`."""
        tally = {name: torch.from_numpy(values) for name, values in self._tally.state().items()}
        return {"images": self._images, "loss": self._loss, "tally": tally}

    def go_on(self, state: dict[str, Any]) -> None:
        """Count on from there."""
        self._images, self._loss = state["images"], state["loss"]
        self._tally.go_on({name: values.numpy() for name, values in state["tally"].items()})

    @property
    def loss(self) -> float:
        """The mean over all images."""
        return self._loss / self._images

    @property
    def metric(self) -> float:
        """Over all images."""
        return self._tally.value
