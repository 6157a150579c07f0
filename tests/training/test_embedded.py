"""Models on embeddings: their strength is chosen out of fold, by groups, and their probabilities are fair."""

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.training.embedded import (
    EMBEDDED_MODELS,
    Rows,
    best_out_of_fold,
    cross_fitted,
    mean_out_of_fold,
    nearest_neighbours,
)

CLASSES = 3


def rows(images: int = 90, group_size: int = 1, apart: float = 1.0, seed: int = 0) -> Rows:
    """Vectors around the corners of three classes; groups of so many images that look the same."""
    generator = np.random.default_rng(seed)
    groups = np.arange(images) // group_size
    labels = groups % CLASSES
    own = generator.normal(0, 1, (groups.max() + 1, 16))[groups]
    vectors = apart * np.eye(16)[labels] + own + generator.normal(0, 0.01, (images, 16))
    weights = np.ones(images, np.float32)
    return Rows(vectors.astype(np.float16), labels, weights, groups.astype(str), CLASSES)


@pytest.mark.parametrize("name", EMBEDDED_MODELS)
def test_classes_that_lie_apart_are_told_apart_with_probabilities_that_add_up(name: str) -> None:
    train, dev = rows(apart=8), rows(apart=8, seed=1)
    found = cross_fitted(EMBEDDED_MODELS[name], train, dev.vectors, seed=1, threads=1)
    assert (found.asked.argmax(axis=1) == dev.labels).mean() > 0.95
    assert (found.own.argmax(axis=1) == train.labels).mean() > 0.95
    assert np.allclose(found.asked.sum(axis=1), 1)
    assert (found.asked >= 0).all()
    assert found.setting in EMBEDDED_MODELS[name].settings


@pytest.mark.parametrize("name", EMBEDDED_MODELS)
def test_an_image_is_predicted_without_its_group(name: str) -> None:
    """Copies of one picture say nothing of others: with classes that tell nothing the predictions are chance."""
    train = rows(images=240, group_size=8, apart=0.0)
    found = cross_fitted(EMBEDDED_MODELS[name], train, train.vectors, seed=1, threads=1)
    assert (found.own.argmax(axis=1) == train.labels).mean() < 0.65
    # What was seen is known: so the strength of this test.
    assert (nearest_neighbours(train, 1, train.vectors).argmax(axis=1) == train.labels).all()


def test_nearest_neighbours_take_the_first_of_equally_near_ones_and_weigh_rows() -> None:
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float16)
    labels, groups = np.array([0, 1, 1, 2]), np.arange(4)
    plain = Rows(vectors, labels, np.ones(4, np.float32), groups, CLASSES)
    asked = np.array([[2, 0]], np.float16)
    assert nearest_neighbours(plain, 1, asked).argmax() == 0
    assert nearest_neighbours(plain, 3, asked).argmax() == 1
    heavy = Rows(vectors, labels, np.array([5, 1, 1, 1], np.float32), groups, CLASSES)
    assert nearest_neighbours(heavy, 3, asked).argmax() == 0


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        pytest.param([0, 0, 0], [0, 1, 2], "at least two classes", id="one class"),
        pytest.param([0, 1, 0], [0, 0, 0], "all images are of one group", id="one group"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(labels: list[int], groups: list[int], message: str) -> None:
    few = Rows(np.eye(3, dtype=np.float16), np.array(labels), np.ones(3, np.float32), np.array(groups), 2)
    with pytest.raises(DataError, match=message):
        cross_fitted(EMBEDDED_MODELS["knn"], few, few.vectors, seed=1, threads=1)


def test_two_models_are_not_sure_of_an_image_that_is_unlike_all_others() -> None:
    """A linear model is surer the further an image is off, in whatever direction."""
    train = rows(apart=2, seed=3)
    unlike = np.zeros((1, 16), np.float16)
    # Hardly of the first class, and nothing that any of them has.
    unlike[0, 0], unlike[0, 8:] = 20, np.tile([60, -60], 4)
    vectors = np.concatenate([train.vectors, unlike])
    every = Rows(vectors, np.append(train.labels, 1), np.ones(91, np.float32), np.arange(91).astype(str), CLASSES)
    folds = np.arange(91) % 5
    alone, _ = best_out_of_fold(EMBEDDED_MODELS["linear"], every, folds, 1)
    both = mean_out_of_fold(every, folds, 1)
    assert alone[-1].max() > 0.99
    assert both[-1].max() < 0.9
    assert (both[:-1].argmax(axis=1) == train.labels).mean() >= (
        alone[:-1].argmax(axis=1) == train.labels
    ).mean() - 0.03
    assert np.allclose(both.sum(axis=1), 1)
