"""A fact that gives train's classes away: named before the gaps, with what it says of dev and advice that can act."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.diagnosis.confounded import confounded
from pipeline.diagnosis.findings import CONFOUNDED, FACT_TELLS, LABEL_NOISE, SCENES, Finding
from pipeline.diagnosis.gaps import MISMATCH
from pipeline.diagnosis.next_steps import in_order, next_steps
from pipeline.diagnosis.run import Confounder
from pipeline.diagnosis.sanity_checks import shared_scenes
from tests.diagnosis.cases import gap, run_of

RUN = {"balance.strategy": {"name": "none"}, "evaluate.slices": [], "split.stratify_by": []}


def manifest(train: int = 300, dev: int = 120, **columns: Any) -> pd.DataFrame:
    """Images of two classes in turn, whose facts say nothing of them."""
    number = np.arange(train + dev)
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"{one:04}" for one in number],
            "group": [f"{one:04}" for one in number],
            "label": np.where(number % 2 == 0, "cat", "dog"),
            "split": np.where(number < train, "train", "dev"),
            "role": np.where(number < train, np.where(number % 3 == 0, "production", "raw"), "production"),
            "source": "web",
            "brightness": draw.random(len(number)),
        }
    )
    return frame.assign(**columns)


def called(rows: pd.DataFrame, wrong: "np.ndarray[Any, Any]") -> pd.DataFrame:
    other = np.where(rows["label"] == "cat", "dog", "cat")
    frame = rows[["id", "group", "split", "label"]]
    return frame.assign(predicted=np.where(wrong, other, rows["label"]))


def sources(rows: pd.DataFrame, split: str, tied: bool) -> "np.ndarray[Any, Any]":
    own = np.where(rows["label"] == "cat", "a", "b")
    by_chance = np.where((np.arange(len(rows)) // 2) % 2 == 0, "a", "b")
    return np.where((rows["split"] == split) & (not tied), by_chance, own)


def test_nothing_is_found_where_nothing_is() -> None:
    rows = manifest()
    assert confounded(called(rows, np.zeros(len(rows), bool)), rows, ()) == ([], None)


def test_a_source_that_tells_trains_classes_is_found_with_what_it_does_to_dev() -> None:
    rows = manifest()
    rows["source"] = sources(rows, "dev", tied=False)
    misled = ((rows["source"] == "a") != (rows["label"] == "cat")).to_numpy()
    (found,), about = confounded(called(rows, misled & (rows["split"] == "dev").to_numpy()), rows, ())
    assert (found.name, found.subject, found.p) == (CONFOUNDED, "source", None)
    assert found.words == (
        "the source alone tells the class of 100% of train's images (classes counted alike; by chance 50%). "
        "The same rule tells only 50% of dev's, so a model that learnt it instead of the classes fails there. "
        "The model misclassifies 100.0% of dev's images where the rule is wrong, and 0.0% where it is right. "
        "Rarest: cat with source b (0), dog with source a (0), cat with source a (150)"
    )
    assert about == Confounder("source", mixed=False, in_dev=2, cell=30)
    assert confounded(called(rows, misled), rows, ["source"]) == ([], None)


def test_what_holds_on_dev_too_hides_there() -> None:
    rows = manifest()
    rows["source"] = sources(rows, "", tied=True)
    (found,), _ = confounded(called(rows, np.zeros(len(rows), bool)), rows, ())
    assert "The same rule tells 100% of dev's, so dev cannot show whether the model learnt it" in found.words
    (found,), _ = confounded(called(rows, np.zeros(len(rows), bool)), rows.assign(meta_shop=rows["source"]), ())
    assert "; the column shop alone tells the class of 100%." in found.words
    rows.loc[rows["split"] == "dev", "source"] = "phone"
    (found,), _ = confounded(called(rows, np.zeros(len(rows), bool)), rows, ())
    assert "Dev has none of these values, so a model that learnt them instead of the classes fails there" in found.words


def test_what_classes_may_look_like_comes_first_only_if_dev_refutes_it() -> None:
    rows = manifest()
    light = np.where(rows["label"] == "cat", 0.2, 0.7) + 0.2 * rows["brightness"]
    good = np.zeros(len(rows), bool)
    (found,), about = confounded(called(rows, good), rows.assign(brightness=light), ())
    assert (found.name, about) == (FACT_TELLS, None)
    assert "if your classes really differ in this, nothing is wrong" in found.words.lower()
    only_train = light.where(rows["split"] == "train", rows["brightness"])
    (found,), about = confounded(called(rows, good), rows.assign(brightness=only_train), ())
    assert found.name == CONFOUNDED
    assert about == Confounder(None, mixed=False, in_dev=0, cell=0)


def test_confounding_is_named_before_gaps_and_after_wrong_labels() -> None:
    findings = [Finding(name, "words", {"wrong_share": 0.1}) for name in (FACT_TELLS, CONFOUNDED, LABEL_NOISE, SCENES)]
    order = [each.name for each in in_order([gap(MISMATCH, "present")], findings)]
    assert order == [SCENES, LABEL_NOISE, CONFOUNDED, MISMATCH, FACT_TELLS]


def commands(confounder: Confounder | None, **changes: Any) -> list[str]:
    run = run_of(**{**RUN, **changes})
    run = type(run)(**{**run.__dict__, "confounder": confounder})
    steps = next_steps([], [Finding(CONFOUNDED, "words")], {}, run)
    return [each.command for each in steps if each.command]


def test_advice_acts_on_this_run_or_is_not_given() -> None:
    weigh = "dvc exp run -S balance.strategy.name=weights_within -S +balance.strategy.column=meta_shop"
    cut = "dvc exp run -S evaluate.slices='[meta_shop]'"
    strata = "dvc exp run -S split.stratify_by='[shop]'"
    shop = Confounder("meta_shop", mixed=True, in_dev=2, cell=100)
    shown = [
        command.replace("'evaluate.slices=[meta_shop]'", "evaluate.slices='[meta_shop]'") for command in commands(shop)
    ]
    shown = [command.replace("'split.stratify_by=[shop]'", "split.stratify_by='[shop]'") for command in shown]
    assert shown == [weigh, cut, strata]
    assert commands(Confounder("meta_shop", mixed=False, in_dev=1, cell=0)) == []
    assert commands(Confounder(None, mixed=False, in_dev=0, cell=0)) == []
    assert commands(None) == []
    followed = {"balance.strategy": {"name": "weights_within", "column": "meta_shop"}, "evaluate.slices": ["meta_shop"]}
    assert commands(shop, **followed, **{"split.stratify_by": ["shop"]}) == []
    source = Confounder("source", mixed=True, in_dev=2, cell=100)
    assert commands(source) == [weigh.replace("meta_shop", "source")]


def scenes(**families: list[str]) -> pd.DataFrame:
    rows = [(image_id, family) for family, ids in families.items() for image_id in ids]
    return pd.DataFrame(rows, columns=["id", "family"])


def test_scenes_of_train_in_dev_are_found_with_devs_error_on_them_and_on_the_others() -> None:
    rows = manifest(train=10, dev=10)
    wrong = np.isin(rows["id"], ["0010", "0015", "0016", "0017"])
    known = scenes(first=["0001", "0010", "0011"], second=["0002", "0003"], third=["0012", "0013"])
    (found,) = shared_scenes(called(rows, wrong), rows, known, 0.05)
    assert (found.name, found.subject, found.gain) == (SCENES, "dev", 0.2)
    assert found.words == (
        "2 of 10 dev images show a scene of train, and their error is 50.0%; that of the 8 others is 37.5%. "
        "Dev's error of 40.0% does not show how good the model is on new scenes"
    )
    assert shared_scenes(called(rows, wrong), rows, known, 0.25) == []
    assert shared_scenes(called(rows, wrong), rows, scenes(), 0.05) == []


def test_against_scenes_in_dev_only_what_mends_them_is_proposed() -> None:
    found = [Finding(SCENES, "words", {}, subject="dev")]
    steps = next_steps([gap(MISMATCH, "present")], found, {}, run_of(**{"curate.scenes": "report"}))
    assert [each.finding for each in steps] == [SCENES, SCENES]
    assert steps[0].command == "dvc exp run -S curate.scenes=group"
    frozen = run_of(**{"curate.scenes": "group", "split.frozen_from": "old"})
    assert (
        next_steps([], found, {}, frozen)[0].command == "dvc exp run -S split.frozen_from=null -S curate.scenes=group"
    )


def good(rows: pd.DataFrame) -> "np.ndarray[Any, Any]":
    return np.zeros(len(rows), bool)


def test_three_other_facts_at_most_are_told_beside_the_strongest() -> None:
    rows = manifest()
    tied = sources(rows, "", tied=True)
    (found,), _ = confounded(called(rows, good(rows)), rows.assign(**{f"meta_{name}": tied for name in "abcde"}), ())
    assert found.words.count(" alone tells the class of 100%") == 4
    assert "; the column d alone tells the class of 100%." in found.words


@pytest.mark.parametrize(("contrary", "told"), [(14, False), (15, True)])
def test_errors_of_fewer_than_fifteen_images_on_one_side_of_the_rule_are_not_told(contrary: int, told: bool) -> None:
    rows = manifest()
    rows["source"] = sources(rows, "", tied=True)
    places = np.flatnonzero(rows["split"] == "dev")[:contrary]
    rows.loc[places, "source"] = np.where(rows.loc[places, "source"] == "a", "b", "a")
    (found,), _ = confounded(called(rows, good(rows)), rows, ())
    assert ("The model misclassifies" in found.words) == told
    assert ("error_where_right" in found.figures) == told


@pytest.mark.parametrize(("dogs", "mixed", "of_production"), [(4, False, 1), (5, True, 2)])
def test_weights_act_on_a_value_that_two_classes_have_five_images_of(
    dogs: int, mixed: bool, of_production: int
) -> None:
    """Every third image of train is of production."""
    rows = manifest()
    rows["meta_shop"] = sources(rows, "", tied=True)
    of_train = rows.index[(rows["label"] == "dog") & (rows["split"] == "train")][:dogs]
    rows.loc[of_train, "meta_shop"] = "a"
    (_,), about = confounded(called(rows, good(rows)), rows, ())
    assert about is not None
    assert about == Confounder("meta_shop", mixed=mixed, in_dev=2, cell=of_production)


def test_a_fact_with_one_value_in_production_has_no_cell() -> None:
    rows = manifest()
    own = np.where(rows["role"] == "raw", sources(rows, "", tied=True), "phone")
    (_,), about = confounded(called(rows, good(rows)), rows.assign(source=own), ())
    assert about == Confounder("source", mixed=True, in_dev=1, cell=0)
