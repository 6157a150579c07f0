"""Labels spread to images without one, by turns, and what consistency asks of two variants."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.training.consistency import STRONG, WEAK, FixMatch, PairOrder, weak_and_strong
from pipeline.training.pseudo_labels import certainty, nearest, neighbour_graph, propose, spread_labels, within_quota
from pipeline.training.semi_supervised import drawn
from pipeline.training.unlabelled import Labelled, PseudoLabels
from pipeline.transforms.params import PresetName
from tests.examples import striped

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
