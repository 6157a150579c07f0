"""What may be said of a framing: gains are real, and not those of the decision."""

import numpy as np
import pytest

from pipeline.problem.framing import UNRELATED
from pipeline.problem.params import Classes
from pipeline.tools.reframe.candidates import Asked, in_order, merged
from pipeline.tools.reframe.measuring import Images, Result, measure, out_of_fold
from pipeline.tools.reframe.printing import DECISION, GAIN, NONE, UNKNOWN, sentences, table_of, verdict
from pipeline.tools.reframe.reframe import Reframed
from pipeline.training.embedded import Rows
from pipeline.training.folds import folds_of

NAMES = ("none", "some", "much", "all")
PLAIN = Classes(name="classes", rename={}, merge={}, one_against_rest=None)


def images(ordered: bool, count: int = 400, seed: int = 0, group_size: int = 1) -> Images:
    """Along one direction, cut into ranks; or around centres of their own."""
    generator = np.random.default_rng(seed)
    groups = np.arange(count) // group_size
    if ordered:
        vectors = generator.normal(size=(count, 48))
        numbers = 2.5 * vectors[:, 0] + generator.logistic(size=count)
        labels = np.searchsorted(np.quantile(numbers, [0.25, 0.5, 0.75]), numbers)
    else:
        labels = generator.integers(0, 4, count)
        vectors = (2 * generator.normal(size=(4, 48)) / 7)[labels] + generator.normal(size=(count, 48)) / 2
    rows = Rows(vectors.astype(np.float32), labels, np.ones(count, np.float32), groups.astype(str), 4)
    return Images(rows, folds_of(labels.astype(str), rows.groups, 5, 1), np.ones(count, bool))


def results(tried: Images) -> dict[str, Result]:
    plain = out_of_fold(UNRELATED, tried.rows, tried.folds)
    candidates = [*in_order(NAMES, Asked(order=NAMES), PLAIN), merged(NAMES, (0, 1), PLAIN)]
    return {each.candidate.name: each for each in measure(tried, plain, plain, candidates, 1)}


def test_planted_ranks_gain_by_an_order_beyond_what_the_decision_gains() -> None:
    found = results(images(ordered=True))
    assert verdict(found["ordinal"]) == GAIN
    assert found["ordinal"].value < found["ordinal, softmax"].value < found["ordinal"].today
    assert found["ordinal"].low is not None
    assert found["ordinal"].high is not None
    assert found["ordinal"].low < found["ordinal"].value - found["ordinal"].today < found["ordinal"].high < 0


def test_classes_without_structure_gain_nothing_by_an_order() -> None:
    found = results(images(ordered=False))
    assert verdict(found["ordinal"]) in (NONE, DECISION)
    assert not found["ordinal"].gain
    assert not found["none and some as one"].gain


def test_few_groups_allow_no_verdict() -> None:
    found = results(images(ordered=True, group_size=40))
    assert {verdict(each) for each in found.values()} == {UNKNOWN}
    told = "\n".join(sentences(Reframed(list(found.values()), 400, 400, "embeddings", [])))
    assert "Fewer than 15 independent groups of production images" in told


@pytest.mark.parametrize("ordered", [True, False])
def test_the_sentences_name_the_params_of_gains_alone(ordered: bool) -> None:
    found = list(results(images(ordered=ordered)).values())
    told = "\n".join(sentences(Reframed(found, 400, 400, "embeddings", [])))
    gains = [each for each in found if verdict(each) == GAIN]
    assert told.count("\nproblem: {") == len(gains)
    assert ("No gain: none of these framings" in told) == (not gains)
    table = table_of(found)
    assert table["verdict"].tolist() == [verdict(each) for each in found]
