"""Fit a model to labelled images, then to those without a label as well; dev says which of the fits is kept.

The first fit is that of labelled images alone, bit for bit. What comes after it is kept only if it is better on dev,
so that images of other classes, or of none, cost time and no accuracy on dev.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from pipeline.data.dataset import RowDataset
from pipeline.metrics.metric import Metric
from pipeline.models.baselines import Baseline
from pipeline.models.files import TrainedModel
from pipeline.models.layers import split_frozen
from pipeline.models.networks import Factory
from pipeline.randomness import keyed_uniform
from pipeline.stages.train.params import TrainParams
from pipeline.store.shard_plan import digest
from pipeline.training.checkpoint import Progress
from pipeline.training.features import RowFeatures, computed_features
from pipeline.training.fit_data import FitParams, TrainingData
from pipeline.training.fitting import features_stay, fit_key, fit_model, fresh_network
from pipeline.training.phases import Phases
from pipeline.training.training import USED, Fit
from pipeline.training.unlabelled import UNLABELLED, Consistency, Labelled, Proposal, PseudoLabels
from pipeline.versions.stages import version_of
from pipeline.workers.engine import Engine

# Features that go through the layers behind the frozen ones at once.
PART = 256


def fit_with_unlabelled(
    data: TrainingData,
    params: TrainParams,
    metric: Metric,
    engine: Engine,
    checkpoint: Progress | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[TrainedModel, Fit]:
    """The model of params, fitted to labelled images and, where params ask for it, to those without a label.

    Args:
        checkpoint, tell: as of `fit_model`.
    """
    if data.unlabelled is None:
        return fit_model(data, params, metric, engine, checkpoint, tell)
    run = _Run(data, params, metric, engine, Phases(checkpoint), tell)
    fit = run.labelled_alone()
    fit = run.pseudo_labelled(fit) if UNLABELLED.of(params.unlabelled).propose else run.consistent(fit)
    return TrainedModel(fit.network, data.classes, data.ingest, params.model, data.framing), fit


def key_of(data: TrainingData, params: FitParams) -> str:
    """A digest of all that shapes such a fit, for its checkpoint."""
    return digest(fit_key(data, params), version_of(fit_with_unlabelled))


@dataclass(frozen=True)
class _Run:
    """The fits of one run."""

    data: TrainingData
    params: TrainParams
    metric: Metric
    engine: Engine
    phases: Phases
    tell: Callable[[str], None]

    def labelled_alone(self) -> Fit:
        """The fit to labelled images."""
        return self._fitted(0, self.data, self.params)

    def consistent(self, first: Fit) -> Fit:
        """It goes on with images without a label in each batch."""
        assert self.data.unlabelled is not None  # noqa: S101
        way = self.params.unlabelled
        assert isinstance(way, Consistency)  # noqa: S101
        joined = replace(self.data, pairs=self.data.unlabelled)
        epochs = max(1, round(way.epochs * self.params.epochs))
        longer = self.params.model_copy(update={"epochs": epochs, "warmup_epochs": 0.0})
        found = self._fitted(1, joined, longer, lambda: copy.deepcopy(first.network))
        # One course of training: what reads the curves must not take its second part for the whole.
        before = [{**epoch, USED: 0.0} for epoch in first.epochs]
        found = replace(found, epochs=[*before, *found.epochs], epoch=len(before) + found.epoch)
        says = _sure(self._predicted(found.network), self.params)
        return self._with_facts(self._better(first, found), [first, found], says)

    def pseudo_labelled(self, first: Fit) -> Fit:
        """Again and again: labels for images without one, then a fit to both from fresh weights."""
        way = self.params.unlabelled
        assert isinstance(way, PseudoLabels) and self.data.unlabelled is not None  # noqa: S101, PT018
        asked = drawn(self.data.unlabelled, way.max_images, self.params.seed)
        pictures = _dataset(self.data, asked)
        kept, fits, proposal, last = first, [first], None, None
        for number in range(1, way.rounds + 1):
            known = _Seen(self, fits[-1].network, asked, pictures)
            proposal = UNLABELLED.of(way).propose(way, known.labelled(), known.asked())  # type: ignore[misc]
            if last is not None and np.array_equal(last.weights, proposal.weights):
                break
            last = proposal
            used = proposal.weights > 0
            self.tell(f"train: {int(used.sum()):,} of {len(used):,} images without a label get one")
            if not used.any():
                break
            fits.append(self._fitted(number, known.with_labels(proposal), self.params))
            kept = self._better(kept, fits[-1])
        assert proposal is not None  # noqa: S101
        return self._with_facts(kept, fits, proposal)

    def _fitted(
        self, number: int, data: TrainingData, params: TrainParams, start: Callable[[], nn.Module] | None = None
    ) -> Fit:
        def fit(progress: Progress | None) -> Fit:
            begin = None if start is None else start()
            return fit_model(data, params, self.metric, self.engine, progress, self.tell, begin)[1]

        if isinstance(self.params.model, Baseline):
            return fit(None)
        model = self.params.model
        fresh = start or (lambda: fresh_network(model, data, self.params, self.engine))
        return self.phases.fitted(number, fresh, fit)

    def _better(self, one: Fit, other: Fit) -> Fit:
        """The one that is better on dev; the former if they are alike."""
        return other if self.metric.better(_on_dev(other), _on_dev(one)) else one

    def _predicted(self, network: nn.Module) -> npt.NDArray[np.float32]:
        assert self.data.unlabelled is not None  # noqa: S101
        whole = _dataset(self.data, self.data.unlabelled)
        found = computed_features(network, whole, self.params.threads, self.engine, "train: unlabelled")
        return found.of(list(range(len(whole)))).softmax(dim=1).numpy()

    def _with_facts(self, kept: Fit, fits: list[Fit], proposal: Proposal) -> Fit:
        """The fit that is kept, and what became of the images without a label."""
        used = proposal.weights > 0
        after = [_on_dev(fit) for fit in fits[1:]]
        best = (max if self.metric.maximise else min)(after) if after else None
        facts = {
            "images": len(used),
            "labelled": int(used.sum()),
            "left_out": float(1 - used.mean()),
            "kept": kept is not fits[0],
            "dev_without": _on_dev(fits[0]),
            **({} if best is None else {"dev_with": best}),
            "classes": {
                name: {
                    "images": int(members.sum()),
                    "certainty": float(proposal.certainties[members].astype(np.float64).mean()),
                }
                for number, name in enumerate(self.data.classes)
                if (members := used & (proposal.labels == number)).any()
            },
        }
        return replace(kept, seconds=sum(fit.seconds for fit in fits), unlabelled=facts)


@dataclass(frozen=True)
class _Seen:
    """What a network makes of the labelled images and of those that ask for a label."""

    run: _Run
    network: nn.Module
    rows: pd.DataFrame
    pictures: RowDataset

    def labelled(self) -> Labelled:
        """Of each labelled image as it was photographed."""
        data = self.run.data
        originals = np.flatnonzero(data.train.copies == 0)
        return Labelled(self._vectors(data.train)[originals], data.train.labels[originals], len(data.classes))

    def asked(self) -> npt.NDArray[np.float32]:
        """Vectors (m, d) of the images without a label."""
        return self._vectors(self.pictures)

    def with_labels(self, proposal: Proposal) -> TrainingData:
        """The training set with those images whose label is used."""
        data, used = self.run.data, proposal.weights > 0
        names = np.array(data.classes)[proposal.labels[used]]
        more = self.rows[used].assign(label=names, copy=np.int32(0), weight=proposal.weights[used])
        columns = [name for name in data.rows.columns if name in more]
        texts = dict.fromkeys(data.rows.select_dtypes("category").columns.intersection(columns), "str")
        rows = pd.concat([each[columns].astype(texts) for each in (data.rows, more)], ignore_index=True)
        whole = data.train
        train = RowDataset(rows, whole.images, data.classes, whole.size, whole.variants)
        found = replace(data, rows=rows, train=train, known=None, unlabelled=None)
        if not features_stay(found, self.run.params):
            return found
        features, new = self._frozen(data.train), self._frozen(self.pictures)
        positions = new.positions[torch.from_numpy(used)] + len(features.features)
        joined = RowFeatures(torch.cat([features.features, new.features]), torch.cat([features.positions, positions]))
        return replace(found, known=(joined, self._frozen(data.dev)))

    def _frozen(self, dataset: RowDataset) -> RowFeatures:
        frozen, _ = split_frozen(self.network)
        params = self.run.params
        return computed_features(frozen, dataset, params.threads, self.run.engine, "train: features")

    def _vectors(self, dataset: RowDataset) -> npt.NDArray[np.float32]:
        """What the network makes of each row before its output layer, (n, d)."""
        params = self.run.params
        layers = list(self.network.children())
        cut = _output_layer(self.network, isinstance(params.model, Factory))
        if isinstance(params.model, Baseline) or not features_stay(self.run.data, params):
            body = nn.Sequential(*layers[:cut])
            found = computed_features(body, dataset, params.threads, self.run.engine, "train: features")
            features = found.features
        else:
            found = self._frozen(dataset)
            depth = len(split_frozen(self.network)[0])
            rest = nn.Sequential(*layers[depth:cut]).eval()
            with torch.inference_mode():
                features = torch.cat([rest(part) for part in torch.split(found.features, PART)])
        return features.flatten(1)[found.positions].float().numpy()


def drawn(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """At most so many of the images, by keyed chance, in their order."""
    if len(rows) <= most:
        return rows
    key = keyed_uniform(seed, "unlabelled", rows["id"])
    return rows.iloc[np.sort(np.argsort(key, kind="stable")[:most])].reset_index(drop=True)


def _sure(probabilities: npt.NDArray[np.float32], params: TrainParams) -> Proposal:
    """What a fitted network says of images without a label, as far as it is sure."""
    highest = probabilities.max(axis=1)
    sure = highest >= params.unlabelled.threshold  # type: ignore[attr-defined]
    return Proposal(probabilities.argmax(axis=1), highest, sure.astype(np.float32))


def _dataset(data: TrainingData, rows: pd.DataFrame) -> RowDataset:
    """Rows without a label; the class that they stand under is not looked at."""
    return RowDataset(rows.assign(label=data.classes[0]), data.train.images, data.classes, data.train.size)


def _output_layer(network: nn.Module, own: bool) -> int:
    """The place of the layer that gives logits; of a network of the project's own what it gives stands for features."""
    layers = list(network.children())
    linear = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
    return len(layers) if own else linear[-1] if linear else len(layers) - 1


def _on_dev(fit: Fit) -> float:
    return fit.epochs[fit.epoch]["dev/optimizing"]
