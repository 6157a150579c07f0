"""What is computed on vectors: the greedy selection, the log-linear pool, and whether a difference is beyond noise."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.training.ensembles.bagging import bag_of
from pipeline.training.ensembles.gain import (
    Gain,
    gain_of,
    log_losses,
    losses_on_correct,
    own_probability,
    with_correct_labels,
)
from pipeline.training.ensembles.images import Images
from pipeline.training.ensembles.log_linear import MemberPredictions, across_folds, learnt, loss_of
from pipeline.training.ensembles.setup import why
from pipeline.training.ensembles.stacking import Scale, logs_of, stacked
from pipeline.training.ensembles.voting import by_other_parts, gain_over_best, losses_of, selected
from tests.training.ensembles.noise import noise

Floats = npt.NDArray[np.float64]


def images(count: int, folds: int = 3) -> Images:
    """Images of a group each, of two classes in turn."""
    numbers = np.arange(count)
    return Images(numbers, numbers % 2, numbers, np.ones(count), numbers // 2 % folds)


def said(probabilities: Floats, of: Images, facts: Floats | None = None) -> MemberPredictions:
    ones = np.ones((len(of.labels), 1))
    return MemberPredictions(
        logs_of(probabilities),
        ones if facts is None else np.column_stack([ones, facts]),
        of.labels,
        of.weights,
        of.folds,
    )


def two_classes(own: Floats, labels: npt.NDArray[np.intp]) -> Floats:
    """Probabilities (…, m, 2) that give the labels these."""
    found = np.stack([1 - own, 1 - own], axis=-1)
    np.put_along_axis(found, np.broadcast_to(labels[:, None], (*own.shape, 1)), own[..., None], axis=-1)
    return found


# Selection


def test_selection_finds_the_weights_of_least_loss() -> None:
    generator = np.random.default_rng(1)
    own = generator.uniform(0.3, 0.99, (3, 300))
    counts = selected(own, images(300), max_members=3)
    found = losses_of(counts @ own / counts.sum(), images(300))
    grid = [np.array([a, b, 50 - a - b]) / 50 for a in range(51) for b in range(51 - a)]
    assert found <= min(losses_of(weights @ own, images(300)) for weights in grid) + 1e-4
    assert found < losses_of(own, images(300)).min()


def test_a_member_that_only_harms_is_not_selected() -> None:
    own = np.array([[0.9] * 10, [0.2] * 10, [0.9] * 10])
    assert selected(own, images(10), max_members=3).tolist() == [1, 0, 0]


def test_no_more_members_are_selected_than_allowed() -> None:
    own = np.random.default_rng(2).uniform(0.2, 0.99, (6, 200))
    assert (selected(own, images(200), 6) > 0).sum() > 2
    assert (selected(own, images(200), 2) > 0).sum() == 2


# Gain


def test_a_gain_is_beyond_noise_only_if_groups_agree() -> None:
    generator = np.random.default_rng(3)
    noise = generator.uniform(0.4, 0.9, 200)
    better = np.minimum(noise + 0.05, 0.99)
    alone, eight = np.arange(200), np.arange(200) // 25
    clear = gain_of(noise, better, np.ones(200), alone, seed=1)
    assert clear.beyond_noise
    assert clear.low < clear.difference < clear.high
    assert not gain_of(noise, generator.permutation(noise), np.ones(200), alone, seed=1).beyond_noise
    few = gain_of(noise, better, np.ones(200), eight, seed=1)
    assert not few.beyond_noise
    assert "8 groups are too few to tell, at least 15 are needed" in few.sentence


def test_a_gain_is_said_as_it_rounds() -> None:
    one = Gain(0.4, 0.38, 0.01, 0.03, 90, 20)
    assert one.sentence == "0.3800 against 0.4000, lower by 0.0200 (90 % interval 0.0100 to 0.0300)"
    worse = replace(one, ensemble=0.41, low=-0.02, high=0.005)
    assert worse.sentence == "0.4100 against 0.4000, higher by 0.0100 (90 % interval -0.0050 to 0.0200)"
    same = replace(one, ensemble=0.40001, low=-0.01, high=0.01)
    assert same.sentence == "0.4000 against 0.4000, no difference in four digits (90 % interval -0.0100 to 0.0100)"


def test_the_best_of_equal_members_does_not_hide_what_their_average_gains() -> None:
    """The best of eight is lucky on the images that it was chosen by."""
    own = np.random.default_rng(9).uniform(0.2, 0.95, (8, 60))
    members = two_classes(own, images(60).labels)
    found = gain_over_best(members, members.mean(axis=0), images(60), seed=1)
    best = losses_of(own, images(60)).min()
    assert found.best_single == pytest.approx(best)
    assert found.single > best + 0.02
    assert found.alpha == 0.05
    assert "95 % interval" in found.sentence


def test_what_is_chosen_knows_nothing_of_the_groups_that_it_is_asked_of() -> None:
    of = Images(np.arange(90), np.arange(90) % 2, np.arange(90) // 3, np.ones(90), np.arange(90) // 3 % 3)
    seen: list[tuple[npt.NDArray[np.intp], int]] = []

    def choose(own: Floats, part: Images) -> Floats:
        seen.append((part.groups, len(seen)))
        # The answer is the number of the choice, by which each image tells what it was asked with.
        return np.array([float(len(seen) - 1)])

    [asked] = by_other_parts(np.ones((1, 90)), of, 1, choose)
    assert len(seen) == 10
    for groups, number in seen:
        assert not set(of.groups[asked == number]) & set(groups)
        assert set(of.groups[asked == number]) | set(groups) == set(of.groups)


def test_with_hardly_an_error_nothing_is_beyond_noise() -> None:
    """What a surer model gains on images that are easy, it may lose on the first one that is hard."""
    sure, hard = np.full(100, 0.95), np.array([0.3] * 4)
    found = gain_of(np.append(sure, hard), np.append(sure + 0.04, hard), np.ones(104), np.arange(104), seed=1)
    assert found.difference > 0
    assert not found.beyond_noise
    assert "less than half in 4 groups, which are too few to tell, at least 5 are needed" in found.sentence
    hard = np.array([0.3] * 5)
    assert gain_of(
        np.append(sure, hard), np.append(sure + 0.04, hard), np.ones(105), np.arange(105), seed=1
    ).beyond_noise


def test_an_ensemble_above_the_best_member_is_not_better() -> None:
    gain = gain_of(np.full(60, 0.4), np.full(60, 0.6), np.ones(60), np.arange(60), seed=1)
    assert gain.beyond_noise
    assert not replace(gain, best_single=gain.ensemble).beyond_noise


def noisy(seed: int, wrong: float) -> tuple[Images, npt.NDArray[np.intp], Floats]:
    """Images of four classes, what a model that is never quite certain says of them, and a share of wrong labels."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 4, 900)
    logits = 8 * np.eye(4)[truth] + generator.normal(size=(900, 4)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    other = (truth + generator.integers(1, 4, 900)) % 4
    given = np.where(generator.uniform(size=900) < wrong, other, truth)
    return Images(np.arange(900), given, np.arange(900), np.ones(900), np.arange(900) % 3), truth, shares


def test_losses_on_correct_labels_are_estimated_from_those_that_are_wrong() -> None:
    values = []
    for seed in range(20):
        of, truth, shares = noisy(seed, 0.2)
        right = log_losses(own_probability(shares, truth)).mean()
        values.append(losses_on_correct(shares, of.labels, 0.2).mean() - right)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(20)
    given = log_losses(own_probability(shares, of.labels)).mean()
    assert given > right + 1
    np.testing.assert_allclose(
        losses_on_correct(shares, of.labels, 0.0), log_losses(own_probability(shares, of.labels))
    )


@pytest.mark.parametrize("seed", range(3))
def test_to_be_unsure_is_no_gain_where_labels_are_wrong(seed: int) -> None:
    """The second model says what the first does, less surely: better on wrong labels, worse on correct ones."""
    of, _, sure = noisy(seed, 0.2)
    two = np.stack([sure, 0.8 * sure + 0.05])
    own = own_probability(two, of.labels)
    given = gain_of(own[0], own[1], of.weights, of.groups, seed=1)
    found = with_correct_labels(given, two[0], two[1], of, seed=1)
    assert given.beyond_noise
    assert found.on_given_labels
    assert not found.beyond_noise
    assert found.correct is not None
    assert found.correct.wrong_share == pytest.approx(0.2, abs=0.06)
    assert "of the labels seem to be wrong, and on correct labels" in why("if_better", found, "the first")
    assert "on correct labels, higher by " in found.sentence


def test_what_is_better_on_correct_labels_is_kept_although_some_are_wrong() -> None:
    of, _, sure = noisy(4, 0.2)
    # The first mistakes every fourth image.
    single = np.where(np.arange(900)[:, None] % 4 == 0, np.roll(sure, 1, axis=1), sure)
    own = own_probability(np.stack([single, sure]), of.labels)
    found = with_correct_labels(gain_of(own[0], own[1], of.weights, of.groups, seed=1), single, sure, of, seed=1)
    assert found.correct is not None
    assert found.beyond_noise


def test_correct_labels_are_asked_of_only_where_some_seem_wrong() -> None:
    of, _, sure = noisy(5, 0.0)
    own = own_probability(np.stack([0.9 * sure + 0.025, sure]), of.labels)
    gain = gain_of(own[0], own[1], of.weights, of.groups, seed=1)
    assert with_correct_labels(gain, 0.9 * sure + 0.025, sure, of, seed=1) is gain


def test_the_probability_of_a_label_is_taken_from_each_member() -> None:
    found = own_probability(np.array([[[0.2, 0.8], [0.6, 0.4]], [[0.5, 0.5], [0.1, 0.9]]]), np.array([1, 0]))
    assert found.tolist() == [[0.8, 0.6], [0.5, 0.1]]


# Log-linear pool


def test_a_members_weight_says_how_sure_it_should_have_been() -> None:
    """Labels are drawn by the first member's probabilities to the power of 2; the second says noise."""
    generator = np.random.default_rng(4)
    truth = generator.uniform(0.05, 0.95, 4000)
    powered = truth**2 / (truth**2 + (1 - truth) ** 2)
    labels = (generator.uniform(size=4000) < powered).astype(np.intp)
    noise = generator.uniform(0.2, 0.8, 4000)
    found = np.stack([np.column_stack([1 - each, each]) for each in (truth, noise)])
    of = Images(np.arange(4000), labels, np.arange(4000), np.ones(4000), np.arange(4000) % 3)
    pool = learnt(said(found, of), strength=1e-4, threads=1)
    np.testing.assert_allclose(pool.weights[:, 0], [2, 0], atol=0.15)
    np.testing.assert_allclose(pool.bias, 0, atol=0.1)


def test_a_strong_penalty_leaves_the_mean_of_log_probabilities() -> None:
    of = images(60)
    found = two_classes(np.random.default_rng(5).uniform(0.3, 0.9, (2, 60)), of.labels)
    np.testing.assert_allclose(learnt(said(found, of), 1000.0, 1).weights[:, 0], [0.5, 0.5], atol=1e-3)


def test_no_member_is_believed_to_be_wrong() -> None:
    of = images(200)
    worse = two_classes(np.random.default_rng(6).uniform(0.05, 0.3, (1, 200)), of.labels)
    assert learnt(said(worse, of), 1e-3, 1).weights[0, 0] == 0


def test_a_gate_is_taken_where_members_know_different_images() -> None:
    generator = np.random.default_rng(7)
    of = images(600)
    bright = generator.uniform(-1, 1, 600)
    first = np.where(bright > 0, 0.9, generator.uniform(0.2, 0.8, 600))
    second = np.where(bright > 0, generator.uniform(0.2, 0.8, 600), 0.9)
    found = two_classes(np.stack([first, second]), of.labels)
    scale = Scale(np.zeros(1), np.ones(1))
    pool, own, used = stacked(said(found, of, bright[:, None]), scale, threads=1)
    assert pool.weights.shape == (2, 2)
    assert pool.weights[0, 1] > 0.1 > -0.1 > pool.weights[1, 1]
    assert len(used.centre) == 1
    plain = across_folds(said(found, of), 1)[1]
    assert loss_of(own, said(found, of)) < 0.8 * loss_of(plain, said(found, of))


def test_a_gate_by_noise_is_left_out() -> None:
    generator = np.random.default_rng(8)
    of = images(90)
    found = two_classes(generator.uniform(0.4, 0.9, (2, 90)), of.labels)
    pool, _, used = stacked(said(found, of, generator.normal(size=(90, 4))), Scale(np.zeros(4), np.ones(4)), threads=1)
    assert (pool.weights.shape, len(used.centre)) == ((2, 1), 0)


@pytest.mark.parametrize("seed", range(6))
def test_on_noise_nothing_is_learnt(seed: int) -> None:
    made = noise(seed)
    of = Images(np.arange(len(made.labels)), made.labels, made.groups, np.ones(len(made.labels)), made.folds)
    own = across_folds(said(made.found, of), 1)[1]
    # Of 60 groups, 20 are right by chance; 36 of them are four deviations.
    assert made.right(own).mean(axis=1).sum() < 36
    assert np.log(3) - 0.1 < loss_of(own, said(made.found, of)) < np.log(3) + 0.15


# Bags


def test_a_bag_holds_whole_groups_and_every_class() -> None:
    groups = np.array([f"g{number // 3}" for number in range(90)], object)
    labels = np.array(["rare" if number < 3 else "usual" for number in range(90)], object)
    bags = np.stack([bag_of(groups, labels, 1, number) for number in range(30)])
    assert (bags.reshape(30, 30, 3) == bags.reshape(30, 30, 3)[:, :, :1]).all()
    assert (bags[:, :3] > 0).all()
    # Of 29 groups, 1 / e are in no bag.
    assert (bags[:, 3:] == 0).mean() == pytest.approx(np.exp(-1), abs=0.05)
    assert len(np.unique(bags, axis=0)) == 30
