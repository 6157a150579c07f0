"""Which roles' labels are called wrong: from counts as the stage label_issues gives them."""

import math
from typing import Any

import pytest

from pipeline.diagnosis.findings import LABEL_NOISE, WEAK_JUDGE, Finding
from pipeline.diagnosis.wrong_labels import at_most, wrong_labels


def part(images: int, share: float, own: float = 0.0, width: float | None = None) -> dict[str, Any]:
    """Of so many images so large a share is wrong, give or take; and the model errs itself on `own` of all."""
    reach = 2 * math.sqrt(max(share, 0.01) / max(images, 1)) if width is None else width
    return {
        "images": images,
        "label_issues": round(share * images),
        "wrong_share": share,
        "low": max(share - reach, 0.0),
        "high": min(share + reach, 1.0),
        "at_least": max(share - 1.3 * reach, 0.0),
        "not_checked": 0,
        "accuracy": 1 - share - own,
    }


def found(train: dict[str, Any], dev: dict[str, Any], relevant: float = 0.02) -> list[Finding]:
    together = {}
    for role in {**train, **dev}:
        parts = [split[role] for split in (train, dev) if role in split]
        images = sum(each["images"] for each in parts)
        mean = {key: sum(each[key] * each["images"] for each in parts) / images for key in ("wrong_share", "accuracy")}
        together[role] = part(images, mean["wrong_share"], 1 - mean["wrong_share"] - mean["accuracy"])
        together[role] |= {"label_issues": sum(each["label_issues"] for each in parts)}
        if len(parts) == 1:
            together[role] = parts[0]
    splits = {"train": {"roles": train}, "dev": {"roles": dev}, "together": {"roles": together}}
    return wrong_labels(splits, relevant)


def test_wrong_labels_of_production_are_named_as_such() -> None:
    """The phone's digits: 21 % in another folder, in train as in dev; the web's are right."""
    (only,) = found({"raw": part(2600, 0.001), "production": part(450, 0.2)}, {"production": part(440, 0.22)})
    assert (only.name, only.subject) == (LABEL_NOISE, "production")
    assert only.words == (
        "about 21% of the production labels in train and dev seem wrong "
        "(95 % interval 18% to 24%; 187 images are listed)"
    )


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
        pytest.param(part(20, 0.0, own=0.3, width=1.0), [], id="too few images for any verdict"),
        pytest.param(part(2000, 0.0), [], id="none"),
        pytest.param(part(2000, 0.1, own=0.45), [WEAK_JUDGE], id="a model that is wrong itself too often"),
        pytest.param(part(2500, 0.09, own=0.1, width=0.09), [WEAK_JUDGE], id="none need be wrong, and many may"),
        pytest.param(part(2500, 0.01, own=0.1, width=0.09), [], id="hardly any seem wrong"),
        pytest.param(part(2500, 0.2, own=0.1, width=0.1), [LABEL_NOISE], id="it errs, and many must be wrong"),
        pytest.param(part(2000, 0.55), [LABEL_NOISE], id="most labels are wrong, and it is right"),
    ],
)
def test_what_a_model_may_owe_to_its_own_mistakes_is_not_named(counts: dict[str, Any], names: list[str]) -> None:
    assert [each.name for each in found({"raw": counts}, {"production": part(400, 0.0)})] == names


def test_a_model_that_never_learnt_production_accuses_none_of_its_labels() -> None:
    (only,) = found({"raw": part(1000, 0.0)}, {"production": part(400, 0.25, own=0.1)})
    assert (only.name, only.subject) == (WEAK_JUDGE, "production")
    assert only.words.startswith("cannot tell whether production labels are wrong or the images are hard")


def test_of_dev_alone_the_model_is_judge_in_its_own_cause() -> None:
    assert wrong_labels({"dev": {"roles": {"production": part(1000, 0.3)}}}, 0.02) == []
    assert wrong_labels({}, 0.02) == []


def test_labels_that_look_like_the_models_mistakes_are_told_as_well() -> None:
    """People err most on images that are hard to recognise: the share rests on the others."""
    judged = part(2000, 0.2, own=0.15)
    assert at_most(judged) == pytest.approx(0.35)
    (only,) = found({"raw": judged}, {"production": part(400, 0.0)})
    assert only.words.endswith(
        "images are listed), and up to 35% if people err most on images that are hard to recognise"
    )
    # Of images that the model recognises that is within the interval.
    assert at_most(part(2000, 0.2)) == part(2000, 0.2)["high"]


def test_what_cannot_be_told_is_told_up_to_all_that_the_model_contradicts() -> None:
    """CIFAR-10 by one person: 5 % are told (1 to 10), and 16 % are wrong."""
    (only,) = found({"raw": part(1600, 0.05, own=0.19, width=0.045)}, {"production": part(400, 0.0)})
    assert (only.name, only.subject) == (WEAK_JUDGE, "raw")
    assert only.words.endswith("agrees with 76%, and up to 24% may be wrong")
