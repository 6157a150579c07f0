"""Confounding: facts that give classes away are named, facts that do not are not, whatever the columns hold."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.manifest import PRODUCTION, RAW
from pipeline.metrics import confounding
from pipeline.metrics.confounding import measure_confounding, named
from pipeline.metrics.fact_rules import ALL, rule_of, rule_on
from pipeline.metrics.facts import FACTS, NONE, OTHERS, coded
from pipeline.metrics.giving_away import Strength


def images(count: int = 300, classes: int = 3, seed: int = 0, size: int = 1, **columns: Any) -> pd.DataFrame:
    """Images in groups of a size, whose facts say nothing of their class."""
    draw = np.random.default_rng(seed)
    group = np.arange(count) // size
    frame = pd.DataFrame(
        {
            "id": [f"web/{number:05}" for number in range(count)],
            "group": [f"group {number}" for number in group],
            "label": [f"class {one}" for one in draw.integers(classes, size=len({*group}))[group]],
            "source": draw.choice(["a", "b"], count),
            "role": draw.choice([RAW, PRODUCTION], count),
            "format": "JPEG",
            "captured_at": pd.Series(pd.NaT, index=range(count), dtype="datetime64[us, UTC]"),
            "width": draw.choice([640, 800], count),
            "height": 480,
            "bytes": draw.integers(10_000, 90_000, count),
            **{name: draw.random(count) for name in ("brightness", "contrast", "sharpness", "saturation")},
        }
    )
    return frame.assign(**columns)


def following(rows: pd.DataFrame, share: float, prefix: str = "", seed: int = 1) -> list[str]:
    """A value for each image that follows from its class in a share of the images."""
    draw = np.random.default_rng(seed)
    label = pd.factorize(rows["label"], sort=True)[0]
    other = draw.integers(label.max() + 1, size=len(rows))
    return [f"{prefix}{one}" for one in np.where(draw.random(len(rows)) < share, label, other)]


def of(rows: pd.DataFrame, fact: str) -> Strength:
    (found,) = (one for one in measure_confounding(rows) if one.fact == fact)
    return found


def names(rows: pd.DataFrame) -> list[str]:
    return [one.fact for one in named(measure_confounding(rows))]


@pytest.mark.parametrize("count", [200, 2_000])
def test_a_source_that_gives_nine_in_ten_classes_away_is_named(count: int) -> None:
    rows = images(count)
    rows["source"] = following(rows, 0.9)
    assert names(rows) == ["source"]
    found = of(rows, "source")
    assert found.low < 0.9 < found.high
    assert found.balanced == pytest.approx(1 / 3 + 2 / 3 * found.share)
    assert found.accuracy == pytest.approx(0.93, abs=0.05)
    assert found.words == "the source"
    assert found.gives_away.endswith("of images (classes counted alike; by chance 33%)")


def test_sources_with_other_class_shares_are_usual() -> None:
    rows = images(2_000, classes=2)
    # Of one class two thirds come from a, of the other one third.
    chance = np.where(rows["label"] == "class 0", 2 / 3, 1 / 3)
    rows["source"] = np.where(np.random.default_rng(2).random(len(rows)) < chance, "a", "b")
    assert of(rows, "source").share == pytest.approx(1 / 3, abs=0.06)
    assert names(rows) == []


def test_sizes_of_classes_alone_give_nothing_away() -> None:
    rows = images(2_000, classes=2)
    rows = rows[(rows["label"] == "class 0") | (np.arange(len(rows)) % 20 == 0)]
    found = of(rows, "source")
    assert found.majority > 0.9
    assert abs(found.share) < 0.2
    assert names(rows) == []


def test_one_class_of_a_source_of_its_own_is_named() -> None:
    rows = images(600, classes=5)
    rows["source"] = np.where(rows["label"] == "class 3", "extra", rows["source"])
    (found,) = named(measure_confounding(rows))
    assert (found.fact, found.classes, found.whole) == ("source", ("class 3",), False)
    assert found.gives_away == "tells class class 3 from all others"


def test_what_gives_classes_away_among_raw_images_alone_is_named() -> None:
    rows = images(900, role=np.where(np.arange(900) < 300, RAW, PRODUCTION))
    rows["source"] = np.where(rows["role"] == RAW, following(rows, 1.0), "phone")
    found = of(rows, "source")
    assert (found.part, found.named) == (RAW, True)
    assert found.share == 1


@pytest.mark.parametrize(
    ("fact", "values"),
    [
        ("brightness", lambda code: 0.2 * code + 0.1),
        ("width", lambda code: 600 + 40 * code),
        ("captured_at", lambda code: pd.Timestamp("2025-03-01", tz="UTC") + pd.to_timedelta(30 * code, unit="D")),
        ("meta_camera", lambda code: code.map({0: "Pixel 6", 1: "", 2: "X100"})),
        ("meta_weight", lambda code: (code + np.linspace(0, 0.5, len(code))).map("{:.5f}".format)),
    ],
)
def test_facts_of_any_kind_are_looked_at(fact: str, values: Any) -> None:
    rows = images(400)
    found = names(rows.assign(**{fact: values(pd.Series(pd.factorize(rows["label"], sort=True)[0]))}))
    assert {"width": "size"}.get(fact, fact) in found
    assert set(found) <= {fact, "size", "aspect", "file_quality"}


def test_what_belongs_to_the_picture_is_named_only_where_it_gives_more_away() -> None:
    rows = images(1_000, classes=2)
    code = pd.factorize(rows["label"], sort=True)[0]
    draw = np.random.default_rng(3)
    tied = np.where(draw.random(1_000) < 0.6, code, draw.integers(2, size=1_000))
    assert names(rows.assign(brightness=(tied + draw.random(1_000)) / 2)) == []
    assert names(rows.assign(source=tied.astype(str))) == ["source"]
    assert FACTS["brightness"].shown
    assert not FACTS["source"].shown


def test_names_of_images_and_of_the_class_itself_say_nothing() -> None:
    rows = images(500)
    serial = [f"S{number}" for number in range(500)]
    rows = rows.assign(meta_serial=serial, meta_kind=rows["label"].str.upper(), meta_shop="one", meta_note="")
    assert {"meta_serial", "meta_kind", "meta_shop", "meta_note"}.isdisjoint(
        one.fact for one in measure_confounding(rows)
    )


def test_a_column_of_10_000_values_costs_little_and_tells_nothing() -> None:
    rows = images(20_500)
    rows["meta_place"] = [f"place {number % 10_000}" for number in range(len(rows))]
    found = [one for one in measure_confounding(rows) if one.fact == "meta_place"]
    assert all(not one.named for one in found)
    fact = coded(rows, "meta_place", 3)
    assert fact is not None
    assert len(fact.names) == 21
    assert OTHERS in fact.names


def test_a_missing_value_is_a_value() -> None:
    rows = images(200, classes=2)
    rows["meta_camera"] = np.where(rows["label"] == "class 0", "", "Pixel 6")
    assert names(rows) == ["meta_camera"]
    fact = coded(rows, "meta_camera", 2)
    assert fact is not None
    assert fact.names == (NONE, "Pixel 6")
    numbers = rows.assign(sharpness=np.where(rows["label"] == "class 0", np.nan, rows["sharpness"]))
    assert "sharpness" in names(numbers)


@pytest.mark.parametrize(
    "rows",
    [images(0), images(10), images(200, classes=1), images(200).assign(label=""), images(200, size=20)],
    ids=["no image", "few", "one class", "no label", "few groups"],
)
def test_where_nothing_can_be_told_nothing_is(rows: pd.DataFrame) -> None:
    assert measure_confounding(rows) == []


def test_groups_stand_on_one_side_of_what_is_learnt_and_tried() -> None:
    """A fact that is one value a group tells nothing of other groups, however many images a group has."""
    rows = images(600, classes=2, size=10)
    rows["meta_session"] = rows["group"].str.replace("group", "session")
    assert all(not one.named for one in measure_confounding(rows))


@settings(max_examples=10, deadline=None)
@given(order=st.integers(0, 1_000))
def test_the_order_of_rows_does_not_count(order: int) -> None:
    rows = images(200)
    rows["source"] = following(rows, 0.8)
    shuffled = rows.sample(frac=1, random_state=order)
    assert measure_confounding(shuffled) == measure_confounding(rows)


def test_of_many_images_whole_groups_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confounding, "MAX_IMAGES", 150)
    rows = images(600, size=4)
    kept = confounding.sampled(rows)
    assert 100 < len(kept) <= 150
    assert (kept.groupby("group").size() == 4).all()


def test_a_rule_names_the_class_to_which_a_value_is_most_usual() -> None:
    # Value 1: three of ten images of the small class, four of a hundred of the large one.
    codes = np.r_[np.zeros(96), np.ones(4), np.zeros(7), np.ones(3)].astype(np.intp)
    labels = np.r_[np.zeros(100), np.ones(10)].astype(np.intp)
    assert rule_of(codes, labels).tolist() == [0, 1]


def test_a_rule_is_tried_on_other_images() -> None:
    train, dev = images(400), images(200, seed=5).assign(id=[f"phone/{number}" for number in range(200)])
    train["source"], dev["source"] = following(train, 1.0), following(dev, 0.0)
    found = rule_on(train, dev, "source")
    assert found is not None
    assert found.high < 0.5
    assert abs(found.share) < 0.25
    assert [*found.told] == [f"class {value}" for value in dev.sort_values("id")["source"]]
    assert rule_on(train, dev.assign(source="phone"), "source") is None
    assert rule_on(train, dev.assign(label="class 1"), "source") is None
    same = rule_on(train, dev.assign(source=following(dev, 1.0)), "source")
    assert same is not None
    assert same.share == 1


def test_each_part_is_called_by_its_role() -> None:
    assert {one.part for one in measure_confounding(images(300))} <= {ALL, RAW, PRODUCTION}


def test_of_more_than_twenty_thousand_images_so_many_are_looked_at() -> None:
    rows = pd.DataFrame({"id": [f"{number:05}" for number in range(20_001)], "label": "a"})
    assert len(confounding.sampled(rows.assign(group=rows["id"]))) == 20_000
    assert len(confounding.sampled(rows.assign(group=rows["id"])[:-1])) == 20_000


@pytest.mark.parametrize(("groups", "looked_at"), [(4, 2), (5, 3)])
def test_a_class_of_fewer_than_five_groups_is_left_out(groups: int, looked_at: int) -> None:
    rows = images(200, classes=2)
    rows.loc[: groups - 1, "label"] = "rare"
    assert of(rows, "source").count == looked_at


def test_a_column_repeats_the_class_where_most_of_its_names_are_the_class_s() -> None:
    rows = images(400, classes=2)
    other = np.where(rows["label"] == "class 0", "class 1", "class 0")
    # Wrong in four of ten images it still is the class's name; in six of ten it is a fact of its own.
    for wrong, told in ((4, False), (6, True)):
        column = np.where(np.arange(400) % 10 < wrong, other, rows["label"])
        found = measure_confounding(rows.assign(meta_kind=column))
        assert ("meta_kind" in {one.fact for one in found}) == told
