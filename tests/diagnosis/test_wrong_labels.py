"""Which roles' labels are called wrong: from counts as the stage label_issues gives them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.diagnosis.findings import LABEL_NOISE, WEAK_JUDGE, Finding
from pipeline.diagnosis.wrong_labels import wrong_labels
from pipeline.stages.label_issues.table import Disagreements, label_issues_table, metrics_of


def part(images: int, denied: float, own: float = 0.0, half: float | None = None) -> dict[str, Any]:
    """Of so many images a quarter is sure; so large a share of it is denied, and `own` more of all are mistakes."""
    return {
        "images": images,
        "label_issues": round(denied * images),
        "wrong_share": denied,
        "not_checked": 0,
        "accuracy": 1 - denied - own,
        "most_confident": images // 4,
        "disagreeing": denied,
        "half_confident": images // 8,
        "half_disagreeing": denied if half is None else half,
    }


def found(train: dict[str, Any], dev: dict[str, Any], relevant: float = 0.02) -> list[Finding]:
    return wrong_labels({"train": {"roles": train}, "dev": {"roles": dev}}, relevant)


def test_wrong_labels_of_production_are_named_as_such() -> None:
    """The phone's digits: 21 % in another folder, in train as in dev; the web's are right."""
    (only,) = found({"raw": part(2600, 0.001), "production": part(450, 0.2)}, {"production": part(440, 0.22)})
    assert (only.name, only.subject) == (LABEL_NOISE, "production")
    assert only.words == "about 21% of the production labels in train and dev seem wrong (187 images are listed)"


def test_a_dev_too_small_to_judge_by_itself_counts_with_its_role() -> None:
    (only,) = found({"raw": part(1000, 0.0), "production": part(300, 0.2)}, {"production": part(114, 0.2)})
    assert only.words.startswith("about 20% of the production labels in train and dev seem wrong")


def test_wrong_labels_of_one_split_are_told_of_that_split() -> None:
    (only,) = found({"raw": part(1000, 0.0), "production": part(8000, 0.0)}, {"production": part(400, 0.3)})
    assert only.words.startswith("about 30% of the production labels in dev seem wrong")


def test_wrong_labels_of_both_roles_are_two_findings_the_worse_first() -> None:
    both = found({"raw": part(1000, 0.1), "production": part(450, 0.2)}, {"production": part(440, 0.2)})
    assert [each.subject for each in both] == ["production", "raw"]


@pytest.mark.parametrize(
    ("counts", "names"),
    [
        pytest.param(part(4000, 0.012), [], id="too few to be worth work"),
        pytest.param(part(800, 0.021), [], id="too few images to be sure of it"),
        pytest.param(part(116, 0.4), [], id="too few images for any verdict"),
        pytest.param(part(2000, 0.0), [], id="none"),
        pytest.param(part(2000, 0.1, own=0.4), [WEAK_JUDGE], id="a model that is wrong itself more often"),
        pytest.param(part(2500, 0.09, own=0.1, half=0.03), [WEAK_JUDGE], id="fewer where it is surer"),
        pytest.param(part(2500, 0.2, own=0.1, half=0.16), [LABEL_NOISE], id="fewer where it is surer, and many there"),
        pytest.param(part(2000, 0.55), [WEAK_JUDGE], id="most labels are contradicted"),
    ],
)
def test_what_a_model_may_owe_to_its_own_mistakes_is_not_named(counts: dict[str, Any], names: list[str]) -> None:
    assert [each.name for each in found({"raw": counts}, {"production": part(400, 0.0)})] == names


def test_a_model_that_never_learnt_production_accuses_none_of_its_labels() -> None:
    (only,) = found({"raw": part(1000, 0.0)}, {"production": part(400, 0.25, own=0.1)})
    assert (only.name, only.subject) == (WEAK_JUDGE, "production")
    assert only.words.startswith("whether production labels are wrong cannot be told: ")


def test_of_dev_alone_the_model_is_judge_in_its_own_cause() -> None:
    assert wrong_labels({"dev": {"roles": {"production": part(1000, 0.3)}}}, 0.02) == []
    assert wrong_labels({}, 0.02) == []


def test_counts_of_roles_are_those_of_their_images() -> None:
    """Of 400 raw images no label is wrong, of 400 production images every fifth."""
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 3, 800)
    wrong = (np.arange(800) >= 400) & (np.arange(800) % 5 == 0)
    labels = np.where(wrong, (truth + 1) % 3, truth)
    logits = generator.normal(size=(800, 3))
    logits[np.arange(800), truth] += 6
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ids = [f"{number:03}" for number in range(800)]
    role = np.where(np.arange(800) < 400, "raw", "production")
    manifest = pd.DataFrame({"id": ids, "source": "all", "role": role})
    rows = pd.DataFrame({"id": ids, "label": np.array(list("abc"))[labels]})
    doubts = [Disagreements("train", rows, labels, probabilities)]
    metrics = metrics_of(doubts, label_issues_table(doubts, manifest, ("a", "b", "c")), manifest)
    roles = metrics["train"]["roles"]
    assert (roles["raw"]["images"], roles["production"]["images"]) == (400, 400)
    assert roles["raw"]["disagreeing"] == 0
    assert roles["production"]["disagreeing"] == pytest.approx(0.2, abs=0.08)
    assert roles["production"]["label_issues"] == metrics["train"]["label_issues"] >= 60
    assert [each.subject for each in wrong_labels(metrics, 0.02)] == ["production"]
