"""Learning from images without a label: labels that spread, variants that agree, and which fit is kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from pipeline.errors import DataError
from pipeline.metrics.metric import metric_of
from pipeline.models.files import save_model
from pipeline.stages.train.params import TrainParams
from pipeline.store.shards import ShardReader
from pipeline.training import semi_supervised
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.consistency import STRONG, WEAK, FixMatch, PairOrder, weak_and_strong
from pipeline.training.fit_data import FitParams, TrainingData, training_data
from pipeline.training.fitting import fit_model
from pipeline.training.pseudo_labels import certainty, nearest, neighbour_graph, propose, spread_labels, within_quota
from pipeline.training.semi_supervised import drawn, fit_with_unlabelled
from pipeline.training.training import Fit
from pipeline.training.unlabelled import FROM_LABELLED_ALONE, UNLABELLED, Labelled, PseudoLabels
from pipeline.transforms.params import PresetName
from pipeline.workers.engine import Engine
from tests.examples import params, striped
from tests.stored import SIZE, stored, with_copies

PSEUDO = {"name": "pseudo_labels", "neighbours": 5}
PAIRS = {"name": "consistency", "threshold": 0.4, "epochs": 1.0, "weak": [], "strong": [{"preset": "strong"}]}
BASELINE = {"name": "logistic_regression", "features": {"name": "pixels", "side": 4}, "c": 1.0}
METRIC = metric_of(params().evaluate.optimizing, ("apple", "fig", "pear"))


# Labels that spread


def rings(each: int) -> tuple[Any, Any]:
    """Points on two rings, one inside the other, which no line tells apart."""
    angles = np.linspace(0, 2 * np.pi, each, endpoint=False)
    rings = [
        np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(each, height)], 1)
        for radius, height in ((1.0, 1.0), (1.0, -1.0))
    ]
    return np.concatenate(rings).astype(np.float32), np.repeat([0, 1], each)


def test_a_label_spreads_along_the_shape_of_its_class() -> None:
    vectors, truth = rings(60)
    labelled = np.array([0, 75])
    asked = np.setdiff1d(np.arange(120), labelled)
    found = propose(
        PseudoLabels(name="pseudo_labels", neighbours=4),
        Labelled(vectors[labelled], truth[labelled], 2),
        vectors[asked],
    )
    assert found.labels.tolist() == truth[asked].tolist()
    assert (found.weights > 0).all()
    np.testing.assert_array_equal(found.weights, found.certainties)


def test_images_that_no_label_reaches_get_none() -> None:
    near, far = np.eye(8, dtype=np.float32)[:2] * 5, np.eye(8, dtype=np.float32)[4:] * 5
    vectors = (
        np.concatenate([near.repeat(3, 0), far.repeat(3, 0)]) + np.linspace(0, 0.01, 18, dtype=np.float32)[:, None]
    )
    labelled = Labelled(vectors[[0, 3]], np.array([0, 1]), 2)
    found = propose(PseudoLabels(name="pseudo_labels", neighbours=2), labelled, np.delete(vectors, [0, 3], 0))
    assert found.labels[:4].tolist() == [0, 0, 1, 1]
    assert (found.weights[:4] > 0).all()
    assert (found.weights[4:] == 0).all()


def test_the_order_of_images_changes_no_label() -> None:
    generator = np.random.default_rng(1)
    known, asked = generator.normal(size=(12, 6)).astype(np.float32), generator.normal(size=(30, 6)).astype(np.float32)
    labelled, order = Labelled(known, np.arange(12) % 3, 3), generator.permutation(30)
    one, other = (spread_labels(labelled, vectors, 4) for vectors in (asked, asked[order]))
    np.testing.assert_allclose(one[order], other, atol=1e-6)


def test_who_passes_on_to_whom_is_mutual_and_bounded() -> None:
    """No mass is made: the largest eigenvalue is 1 (Zhou et al., 2004)."""
    graph = neighbour_graph(np.random.default_rng(2).normal(size=(40, 5)).astype(np.float32), 6).toarray()
    np.testing.assert_allclose(graph, graph.T)
    assert np.linalg.eigvalsh(graph).max() == pytest.approx(1, abs=1e-6)
    assert (graph.diagonal() == 0).all()


def test_neighbours_are_those_of_all_pairs() -> None:
    vectors = np.random.default_rng(3).normal(size=(30, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near, distances = nearest(vectors, 3)
    whole = 1 - vectors.astype(np.float64) @ vectors.T
    np.fill_diagonal(whole, np.inf)
    assert [set(row) for row in near.tolist()] == [set(row) for row in np.argsort(whole)[:, :3].tolist()]
    np.testing.assert_allclose(np.sort(distances), np.sort(whole)[:, :3], atol=1e-5)


def test_certainty_is_1_for_one_class_and_0_for_chance() -> None:
    np.testing.assert_allclose(
        certainty(np.array([[1.0, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]])), [1, 0, 1 - np.log(2) / np.log(3)], atol=1e-6
    )


def test_the_quota_is_one_of_each_class() -> None:
    chosen = within_quota(np.array([0, 0, 0, 0, 1, 1]), np.array([0.1, 0.4, 0.3, 0.2, 0.9, 0.8], np.float32), 0.5)
    assert chosen.tolist() == [False, True, True, False, True, False]


def test_labels_below_the_threshold_are_not_used() -> None:
    generator = np.random.default_rng(4)
    labelled = Labelled(generator.normal(size=(6, 5)).astype(np.float32), np.arange(6) % 2, 2)
    asked = generator.normal(size=(30, 5)).astype(np.float32)
    middle = float(np.median(propose(PseudoLabels(name="pseudo_labels"), labelled, asked).certainties))
    found = propose(PseudoLabels(name="pseudo_labels", threshold=middle, weight=0.5), labelled, asked)
    used = found.weights > 0
    assert used.sum() == 15
    assert found.certainties[used].min() >= middle > found.certainties[~used].max()
    np.testing.assert_allclose(found.weights[used], found.certainties[used] / 2)


def test_of_too_many_images_some_are_drawn_by_chance_whatever_their_order() -> None:
    rows = pd.DataFrame({"id": [f"{number:03}" for number in range(100)]})
    chosen = drawn(rows, 20, seed=1)
    assert len(chosen) == 20
    assert chosen["id"].is_monotonic_increasing
    assert set(drawn(rows.sample(frac=1, random_state=1), 20, seed=1)["id"]) == set(chosen["id"])
    assert set(drawn(rows, 20, seed=2)["id"]) != set(chosen["id"])
    assert drawn(rows, 100, seed=1) is rows


# Variants that agree


@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 5))
def test_each_image_has_had_a_turn_before_any_has_its_next(images: int, each: int, batches: int) -> None:
    order, seen = PairOrder(images, each, batches, seed=1), []
    for epoch in range(4):
        order.set_epoch(epoch)
        rows = list(order)
        assert len(rows) == len(order)
        for start in range(0, len(rows), 2 * each):
            weak, strong = rows[start : start + each], rows[start + each : start + 2 * each]
            assert strong == [images + image for image in weak]
            seen += weak
            order.set_epoch(epoch, start)
            assert list(order) == rows[start:]
    turns = [seen[start : start + images] for start in range(0, len(seen) - images + 1, images)]
    assert all(sorted(turn) == list(range(images)) for turn in turns)


def test_variants_are_keyed_by_image_kind_and_epoch() -> None:
    pixels = striped(1, seed=1)
    make, again = (weak_and_strong((PresetName(preset="light"),), (PresetName(preset="strong"),), seed=1) for _ in "ab")
    keys = [("a", WEAK, 0), ("a", STRONG, 0), ("a", WEAK, 1), ("b", WEAK, 0)]
    made = [make(pixels, *key).tobytes() for key in keys]
    assert made == [again(pixels, *key).tobytes() for key in reversed(keys)][::-1]
    assert len({*made}) == 4
    nothing = weak_and_strong((), (PresetName(preset="strong"),), seed=1)
    assert (nothing(pixels, "a", WEAK, 0) == pixels).all()


class Means(nn.Module):
    """Logits from the mean of each of the three channels; it counts how often and in which mode it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.1))
        self.asked: list[tuple[bool, int]] = []

    def forward(self, pixels: Tensor) -> Tensor:
        self.asked.append((self.training, len(pixels)))
        return pixels.float().mean(dim=(2, 3)) * self.scale


def coloured(*channels: tuple[int, int, int]) -> Tensor:
    return torch.tensor(channels, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 2, 2)


def test_the_loss_is_that_of_strong_variants_where_the_weak_one_is_sure() -> None:
    """Equation 4 of Sohn et al. (2020)."""
    network = Means().train()
    unlabelled = torch.cat([coloured((90, 0, 0), (0, 10, 5)), coloured((20, 30, 0), (0, 0, 200))])
    forward = FixMatch(network, unlabelled, threshold=0.9, weight=3.0)
    logits = forward(coloured((1, 2, 3)))
    np.testing.assert_allclose(logits.detach(), [[0.1, 0.2, 0.3]], rtol=1e-5)
    sure = -torch.tensor([2.0, 3.0, 0.0]).log_softmax(0)[0]
    assert float(forward.loss.detach()) == pytest.approx(3 * float(sure) / 2, rel=1e-5)
    assert float(forward.used) == 0.5
    # The weak variants alone, as when predicting; the others in one pass, as when training.
    assert network.asked == [(False, 2), (True, 3)]
    assert network.training
    forward.loss.backward()  # type: ignore[no-untyped-call]
    assert network.scale.grad is not None


# Fits


def settings(**changes: Any) -> TrainParams:
    small = {
        "model.width": 4,
        "model.dropout.blocks": 0.1,
        "epochs": 3,
        "batch_size": 6,
        "threads": 1,
        "patience": None,
    }
    return params(
        **{f"train.{name}": value for name, value in {**small, "learning_rate": 0.01, **changes}.items()}
    ).train


def prepared(folder: Path, train: TrainParams, unlabelled: int = 24) -> TrainingData:
    """Nine labelled images, dev, and some without a label."""
    pictures = [striped(number % 3, seed=number) for number in range(39 + unlabelled)]
    rows = stored(folder, pictures)
    chosen = params(**{"ingest.size": SIZE})
    manifest = rows.iloc[:39].assign(split=["train"] * 9 + ["dev"] * 30)
    augmented = with_copies(manifest.iloc[:9], 0).assign(weight=np.float32(1))
    shaping = FitParams(train, chosen.augment.variants, chosen.ingest, chosen.evaluate.optimizing, chosen.problem)
    bare = rows.iloc[39:].assign(label="", split="unlabelled").reset_index(drop=True)
    return training_data(augmented, manifest, ShardReader(folder), shaping, bare)


def fitted(folder: Path, train: TrainParams, checkpoint: Any = None) -> tuple[bytes, Fit]:
    model, fit = fit_with_unlabelled(prepared(folder, train), train, METRIC, Engine(1), checkpoint)
    return save_model(model), fit


@pytest.fixture
def unlabelled_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The later fit is kept, whatever dev says."""
    monkeypatch.setattr(semi_supervised._Run, "_better", lambda self, one, other: other)


WAYS: list[Any] = [
    pytest.param({"unlabelled": {**PSEUDO, "rounds": 2}}, id="pseudo_labels"),
    pytest.param({"unlabelled": PAIRS, "mixing": {"name": "mixup", "alpha": 0.5}}, id="consistency"),
]


@pytest.mark.parametrize("changes", WAYS)
def test_a_fit_that_is_stopped_anywhere_goes_on_to_the_same_bytes(
    changes: dict[str, Any], tmp_path: Path, unlabelled_wins: None
) -> None:
    train = settings(**changes)
    whole, fit = fitted(tmp_path, train)
    assert fit.unlabelled is not None

    class Every(Checkpoint):
        """Keeps a copy of each state, in the middle of epochs, too."""

        states: ClassVar[list[bytes]] = []

        def due(self) -> bool:
            return True

        def save(self, key: str, state: Any) -> None:
            super().save(key, state)
            self.states.append(self.path.read_bytes())

    path = tmp_path / "checkpoint.pt"
    assert fitted(tmp_path, train, checkpoint=Every(path).under("key"))[0] == whole
    chosen = Every.states[:: max(1, len(Every.states) // 4)]
    assert len(chosen) >= 4
    for state in chosen:
        path.write_bytes(state)
        again, seen = fitted(tmp_path, train, checkpoint=Checkpoint(path).under("key"))
        assert again == whole
        assert (seen.epochs, seen.unlabelled) == (fit.epochs, fit.unlabelled)


@pytest.mark.parametrize("way", [PSEUDO, PAIRS], ids=lambda way: way["name"])
@pytest.mark.parametrize("helps", [False, True])
def test_dev_says_whether_images_without_a_label_are_learnt_from(
    way: dict[str, Any], helps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they do not help, the model is that of labelled images alone, bit for bit."""
    train = settings(unlabelled=way, epochs=1)
    without = fit_model(prepared(tmp_path, train), train, METRIC, Engine(1))
    values = {False: [0.7, 0.7], True: [0.6, 0.7]}[helps]
    monkeypatch.setattr(semi_supervised, "_on_dev", lambda fit: values[fit.seconds < 0 or fit is not first[0]])
    first: list[Fit] = []
    real: Callable[..., Any] = fit_model

    def noted(*arguments: Any) -> Any:
        found = real(*arguments)
        first.append(found[1])
        return found

    monkeypatch.setattr(semi_supervised, "fit_model", noted)
    model, fit = fitted(tmp_path, train)
    assert (model == save_model(without[0])) == (not helps)
    assert fit.unlabelled is not None
    assert fit.unlabelled["kept"] == helps
    assert (fit.unlabelled["dev_without"], fit.unlabelled["dev_with"]) == tuple(values)


@pytest.mark.parametrize("model", [None, BASELINE], ids=["network", "baseline"])
def test_most_labels_of_images_that_look_alike_are_right(model: dict[str, Any] | None, tmp_path: Path) -> None:
    train = settings(unlabelled=PSEUDO, epochs=8, **({} if model is None else {"model": model}))
    facts = fitted(tmp_path, train)[1].unlabelled
    assert facts is not None
    assert (facts["images"], facts["labelled"], facts["left_out"]) == (24, 24, 0.0)
    assert {name: each["images"] for name, each in facts["classes"].items()} == {"apple": 8, "fig": 8, "pear": 8}
    assert all(0 < each["certainty"] <= 1 for each in facts["classes"].values())


def test_a_network_learns_from_images_without_a_label(tmp_path: Path, unlabelled_wins: None) -> None:
    """Its loss on dev falls, and the share of them that it learns from is told of each epoch."""
    fit = fitted(tmp_path, settings(unlabelled={**PAIRS, "epochs": 2.0}, epochs=8))[1]
    assert len(fit.epochs) == 8 + 16
    assert fit.epoch >= 8
    used = [epoch["train/unlabelled_used"] for epoch in fit.epochs]
    assert used[:8] == [0] * 8
    assert 0 < used[8] <= used[-1] == 1
    assert fit.epochs[-1]["dev/loss"] < fit.epochs[0]["dev/loss"]


def test_images_of_which_no_label_is_certain_change_nothing(tmp_path: Path) -> None:
    train = settings(unlabelled={**PSEUDO, "neighbours": 32, "threshold": 1.0}, epochs=1)
    model, fit = fitted(tmp_path, train)
    assert fit.unlabelled is not None
    assert (fit.unlabelled["labelled"], fit.unlabelled["kept"]) == (0, False)
    assert "dev_with" not in fit.unlabelled
    assert model == save_model(fit_model(prepared(tmp_path, train), train, METRIC, Engine(1))[0])


def test_without_such_images_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.unlabelled is pseudo_labels, and no production image without a label"):
        prepared(tmp_path, settings(unlabelled=PSEUDO), unlabelled=0)
    assert prepared(tmp_path, settings(), unlabelled=0).unlabelled is None
    assert prepared(tmp_path, settings(), unlabelled=3).unlabelled is None


def test_baselines_have_no_variants_to_agree_on() -> None:
    with pytest.raises(
        ValidationError, match="unlabelled consistency needs a network, and model is logistic_regression"
    ):
        TrainParams.model_validate({**settings().model_dump(), "model": BASELINE, "unlabelled": PAIRS})


def test_a_factory_is_asked_for_its_logits() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(4, 3)))
    assert semi_supervised._output_layer(network, own=True) == 2
    assert semi_supervised._output_layer(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), own=False) == 1


def test_each_way_says_whether_it_learns() -> None:
    assert [name for name, row in UNLABELLED.items() if not row.learns] == [FROM_LABELLED_ALONE]
    assert {name: row.learns for name, row in UNLABELLED.items()} == {
        "none": False,
        "pseudo_labels": True,
        "consistency": True,
    }
    assert replace(UNLABELLED["pseudo_labels"], propose=None).learns is False
