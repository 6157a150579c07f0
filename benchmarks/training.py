"""What training costs beside a plain loop over arrays in memory that ends with the same weights.

    dvc repro train && python benchmarks/training.py [--rounds 5] [--epochs 12]

Fits the model of params.yaml to the training set in this folder. The plain loop can do what the demonstration asks
for: a network, AdamW, a constant rate, no mixing, no penalties, accuracy. Ours begins with files: it reads manifests,
decodes pictures and measures their mean. The plain loop begins with decoded pictures and a built network. Both run in
turns in one process; the benchmark fails unless numbers and weights are the same to the last bit. The figure is the
ratio of CPU seconds, the median of the rounds. A round takes about 35 seconds.
"""

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable

from pipeline.workers.libraries import SETTINGS, keep_freed_tensors

os.environ.update(SETTINGS)

import torch
from torch import Tensor, nn

from pipeline.metrics.metric import metric_of
from pipeline.models.network import Network
from pipeline.project.params_file import Params, load_params
from pipeline.randomness import keyed_generator, keyed_seed
from pipeline.stages.train.params import TrainParams
from pipeline.tools.training_data import read_data
from pipeline.training.fit_data import TrainingData
from pipeline.training.fitting import fit_model, fresh_network, loss_weights
from pipeline.training.optimizers import AdamW
from pipeline.workers.engine import Engine

HERE = Engine(1)
Numbers = list[dict[str, float]]
Result = tuple[dict[str, Tensor], Numbers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    params = load_params()
    train = params.train if options.epochs is None else params.train.model_copy(update={"epochs": options.epochs})
    params = params.model_copy(update={"train": train})
    keep_freed_tensors()
    plain = Plain(params)
    before = os.getloadavg()[0]
    ratios = []
    for number in range(options.rounds + 1):
        plain_seconds, (weights, numbers) = timed(plain.fitted)
        our_seconds, ours = timed(lambda: fitted(params))
        same = numbers == ours[1] and all(torch.equal(weights[name], ours[0][name]) for name in weights)
        if not same:
            raise RuntimeError(f"the two are not alike: {numbers} and {ours[1]}")
        if number:  # the first round reads in libraries
            ratios.append(our_seconds / plain_seconds)
            print(f"ours {our_seconds:.2f} s, plain {plain_seconds:.2f} s: {ratios[-1]:.3f}", flush=True)
    print(
        f"{plain.rows} rows, {len(numbers)} epochs, same weights: {statistics.median(ratios):.3f} times the CPU of the "
        f"plain loop ({min(ratios):.3f} to {max(ratios):.3f})"
    )
    print(f"load of the machine, 0 before on a quiet one: {before:.1f} before, {os.getloadavg()[0]:.1f} after")


def fitted(params: Params) -> Result:
    """What the stage does, but for the files it writes."""
    data = read_data(params)
    metric = metric_of(params.evaluate.optimizing, data.classes)
    model, fit = fit_model(data, params.train, metric, HERE)
    return model.network.state_dict(), fit.epochs


class Plain:
    """A loop as one would write it by hand, for a set that lies in memory."""

    def __init__(self, params: Params) -> None:
        data: TrainingData = read_data(params)
        train = params.train
        if not isinstance(train.model, Network) or not isinstance(train.optimizer, AdamW):
            raise SystemExit("set train.model to a network and train.optimizer to adamw")
        self.params: TrainParams = train
        self.optimizer: AdamW = train.optimizer
        self.network = fresh_network(train.model, data, train, HERE)
        self.rows = len(data.train)
        self.pixels, self.dev_pixels = (
            torch.from_numpy(each.batch(range(len(each)))) for each in (data.train, data.dev)
        )
        self.labels, self.dev_labels = (torch.from_numpy(each.labels) for each in (data.train, data.dev))
        self.weights = torch.from_numpy(loss_weights(data, train))

    def fitted(self) -> Result:
        params, size = self.params, self.params.batch_size
        torch.set_num_threads(params.threads)
        network = copy.deepcopy(self.network)
        decayed = [each for each in network.parameters() if each.ndim > 1]
        rest = [each for each in network.parameters() if each.ndim <= 1]
        choice = self.optimizer
        groups = [{"params": decayed, "weight_decay": choice.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=params.learning_rate, betas=(choice.beta1, choice.beta2))
        numbers: Numbers = []
        best, weights = 0, copy.deepcopy(network.state_dict())
        for epoch in range(params.epochs):
            order = torch.from_numpy(keyed_generator(params.seed, "order", epoch).permutation(self.rows))
            network.train()
            loss_sum, right = 0.0, 0
            for batch, rows in enumerate(order.split(size)):  # type: ignore[no-untyped-call]
                torch.manual_seed(keyed_seed(params.seed, "dropout", epoch, batch))
                labels = self.labels[rows]
                logits = network(self.pixels[rows].permute(0, 3, 1, 2))
                loss = (nn.functional.cross_entropy(logits, labels, reduction="none") * self.weights[rows]).mean()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                loss_sum += loss.item() * len(rows)
                right += int((logits.argmax(dim=1) == labels).sum())
            dev_loss, dev_right = self.on_dev(network)
            numbers.append(
                {
                    "train/loss": loss_sum / self.rows,
                    "train/optimizing": right / self.rows,
                    "dev/loss": dev_loss,
                    "dev/optimizing": dev_right,
                }
            )
            if epoch == 0 or dev_right > numbers[best]["dev/optimizing"]:
                best, weights = epoch, copy.deepcopy(network.state_dict())
            if params.patience is not None and epoch - best >= params.patience:
                break
        return weights, numbers

    @torch.inference_mode()
    def on_dev(self, network: nn.Module) -> tuple[float, float]:
        """Mean loss and accuracy."""
        network.eval()
        loss, right, count = 0.0, 0, len(self.dev_labels)
        for rows in torch.arange(count).split(self.params.batch_size):  # type: ignore[no-untyped-call]
            logits, labels = network(self.dev_pixels[rows].permute(0, 3, 1, 2)), self.dev_labels[rows]
            loss += nn.functional.cross_entropy(logits, labels).item() * len(rows)
            right += int((logits.argmax(dim=1) == labels).sum())
        return loss / count, right / count


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """CPU seconds of this process, and what came of it."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


if __name__ == "__main__":
    main()
