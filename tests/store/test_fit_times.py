"""How long models took to fit, by the hash of their files."""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.store.fit_times import MAX_MODELS, fit_times, in_words, remember


def key(model: bytes) -> str:
    return hashlib.md5(model, usedforsecurity=False).hexdigest()


def test_times_are_kept_by_the_hash_that_dvc_gives_the_model(tmp_path: Path) -> None:
    place = tmp_path / "times.json"
    assert fit_times(place) == {}
    remember(place, b"one", 41.26)
    remember(place, b"two", 3.0)
    remember(place, b"one", 40.0)
    assert fit_times(place) == {key(b"two"): 3.0, key(b"one"): 40.0}


def test_the_newest_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "times.json"
    place.write_text(json.dumps({str(number): 1.0 for number in range(MAX_MODELS)}))
    remember(place, b"new", 2.0)
    found = fit_times(place)
    assert len(found) == MAX_MODELS
    assert "0" not in found
    assert found[key(b"new")] == 2.0


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": "x", "b": -1, "c": NaN, "d": 1e999}'])
def test_what_is_damaged_says_no_times(tmp_path: Path, text: str) -> None:
    place = tmp_path / "times.json"
    place.write_text(text)
    assert fit_times(place) == {}
    remember(place, b"one", 1.0)
    assert list(fit_times(place).values()) == [1.0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (41, "41 s"), (89, "89 s"), (90, "1.5 min"), (5399, "90.0 min"), (5400, "1.5 h")],
)
def test_times_are_said_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
