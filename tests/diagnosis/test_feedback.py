"""Tables of people become levels, and what is wrong with them is said at once."""

from typing import Any

import pandas as pd
import pytest

from pipeline.diagnosis.error_levels import metric_of_errors
from pipeline.diagnosis.feedback import Table, answers, outcomes
from pipeline.diagnosis.gaps import PRODUCTION_GAP, find_gaps
from pipeline.diagnosis.known_levels import all_levels
from pipeline.errors import DataError, MissingInputError
from pipeline.problem.label_sets import LabelNames
from tests.diagnosis.cases import CLASSES, diagnosing, evaluate, predictions
from tests.examples import params

MANIFEST = pd.DataFrame(
    {
        "id": ["phone/apple/1.png", "phone/fig/2.png", "web/fig/2.png", "web/apple/3.png"],
        "path": ["apple/1.png", "fig/2.png", "fig/2.png", "apple/3.png"],
        "label": ["apple", "fig", "fig", "apple"],
        "group": ["a", "b", "c", "d"],
        "split": ["dev", "dev", "train", "train"],
    }
)


def table(**columns: list[str]) -> Table:
    name = "feedback/outcomes.csv" if "predicted" in columns else "feedback/answers.csv"
    return Table(name, columns, range(2, 2 + len(next(iter(columns.values())))))


def test_answers_are_held_against_the_labels_of_their_images() -> None:
    asked = table(image=["apple/1.png", "phone/apple/1.png", "phone/fig/2.png"], answer=["apple", "fig", "fig"])
    found = answers(asked, MANIFEST, CLASSES)
    assert found.to_dict("list") == {
        "label": ["apple", "apple", "fig"],
        "predicted": ["apple", "fig", "fig"],
        "group": ["a", "a", "b"],
        "split": ["human"] * 3,
    }


@pytest.mark.parametrize(
    ("name", "saved"), [("007", "7"), ("1.50", "1,5"), ("1/2", "02/01/2026"), ("2/3", "03.02.26"), ("true", "WAHR")]
)
def test_a_class_that_a_spreadsheet_program_changed_is_named_and_never_guessed(name: str, saved: str) -> None:
    live = table(image=["a"], predicted=[saved], actual=[name])
    with pytest.raises(DataError, match=rf"row 2 \('{saved}'\), did you mean {name}\? Spreadsheet programs"):
        outcomes(live, MANIFEST, [name, "other"])


def test_outcomes_count_a_group_once_and_need_none() -> None:
    live = table(image=["x", "y", "z"], predicted=["fig"] * 3, actual=["fig", "apple", "fig"])
    assert outcomes(live, MANIFEST, CLASSES)["group"].tolist() == ["x", "y", "z"]
    grouped = Table(live.name, {**live.columns, "group": ["g", "g", ""]}, live.rows)
    assert outcomes(grouped, MANIFEST, CLASSES)["group"].tolist() == ["g", "g", "z"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        pytest.param(
            {"image": ["fig/2.png", "nope.png"], "answer": ["fig", "figg"]},
            [
                "2 of 2 rows name no image of train, train_dev or dev .*: row 2 \\('fig/2.png'\\), row 3",
                "1 of 2 rows have an answer that is not a class of the model: row 3 \\('figg'\\), did you mean fig\\?",
            ],
            id="unknown images and labels",
        ),
        pytest.param(
            {"image": ["a"], "said": ["fig"]}, ["lacks the columns 'answer'.*names image, said"], id="columns"
        ),
        pytest.param({"image": [], "answer": []}, ["has no rows: fill it in, or remove it"], id="empty"),
        pytest.param({"image": ["phone/fig/2.png"], "answer": [""]}, ["row 2 \\(''\\)"], id="no answer"),
    ],
)
def test_answers_that_cannot_be_used_are_named(columns: dict[str, list[str]], words: list[str]) -> None:
    with pytest.raises(DataError, match=r"^feedback/answers\.csv") as raised:
        answers(table(**columns), MANIFEST, CLASSES)
    for each in words:
        assert raised.match(each)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        pytest.param(
            {"image": ["x", "x", ""], "predicted": ["fig", "kiwi", "fig"], "actual": ["fig", "fig", "Apple"]},
            [
                "1 of 3 rows have a predicted class that the model does not have: row 3 \\('kiwi'\\)",
                "1 of 3 rows have an actual class that the model does not have: row 4 \\('Apple'\\), "
                "did you mean apple\\?",
                "1 images are listed twice: row 3 \\('x'\\)",
                "1 rows name no image: row 4",
            ],
            id="several things",
        ),
        pytest.param(
            {"image": ["web/fig/2.png"], "predicted": ["fig"], "actual": ["fig"]},
            ["1 images are in train or train_dev, so they are not outcomes: row 2"],
            id="an image that was learnt",
        ),
        pytest.param({"image": ["x"], "predicted": ["fig"]}, ["lacks the columns 'actual'"], id="columns"),
    ],
)
def test_outcomes_that_cannot_be_used_are_named(columns: dict[str, list[str]], words: list[str]) -> None:
    with pytest.raises(DataError, match=r"^feedback/outcomes\.csv") as raised:
        outcomes(table(**columns), MANIFEST, CLASSES)
    for each in words:
        assert raised.match(each)


def known(tables: dict[str, Table], human: Any = 0.01) -> Any:
    frame = predictions(train=(100, 1), train_dev=(100, 1), dev=(100, 1))
    chosen = params(**{"diagnose.human_error": human}).diagnose
    manifest = frame.assign(path=frame["id"])
    return all_levels(frame, manifest, tables, evaluate(), chosen)


def test_human_level_is_measured_where_params_say_so() -> None:
    images = [f"dev/{number:05}" for number in range(50)]
    asked = table(image=images, answer=["apple"] * 50)
    levels = known({"human": asked}, "measured")
    assert levels["human"].error == pytest.approx(0.5)
    assert levels["human"].images == 50
    assert levels["human"].low < 0.5 < levels["human"].high
    assert known({"human": asked}, 0.02)["human"].images is None


def test_answers_that_are_missing_are_asked_for() -> None:
    with pytest.raises(MissingInputError, match=r"feedback/answers\.csv is missing: write it .* a number$"):
        known({}, "measured")


def test_what_is_good_on_dev_and_bad_in_production_is_a_gap() -> None:
    live = table(image=[f"live/{n}" for n in range(200)], predicted=["fig"] * 200, actual=["fig", "apple"] * 100)
    levels = known({"production": live})
    metric = metric_of_errors(evaluate(), CLASSES)
    (worst, *_) = find_gaps(levels, metric, diagnosing(), evaluate())
    assert (worst.name, worst.lower, worst.verdict) == (PRODUCTION_GAP, "dev", "present")
    assert worst.value == pytest.approx(0.49)


def test_answers_may_be_sets_of_labels() -> None:
    several = LabelNames(("apple", "fig"))
    rows = MANIFEST.assign(label=["apple|fig", "fig", "fig", "(none)"])
    asked = table(image=["apple/1.png", "phone/fig/2.png", "web/apple/3.png"], answer=["fig | apple", "fig", "(none)"])
    assert answers(asked, rows, several)["predicted"].tolist() == ["apple|fig", "fig", "(none)"]
    with pytest.raises(DataError, match=r"1 of 1 rows have an answer that is not a class of the model: row 2"):
        answers(table(image=["apple/1.png"], answer=["apple|kiwi"]), rows, several)


def test_names_that_look_the_same_are_one_class_and_one_group() -> None:
    composed, apart = "p\u00eache", "pe\u0302che\u200b"
    manifest = MANIFEST.assign(label=[composed, "fig", "fig", composed])
    asked = answers(table(image=["apple/1.png"], answer=[apart]), manifest, [composed, "fig"])
    assert asked["predicted"].tolist() == [composed]
    live = table(image=["x", "y"], predicted=[apart, "fig"], actual=[composed, " fig"], group=["12", "12.0"])
    found = outcomes(live, manifest, [composed, "fig"])
    assert found["group"].nunique() == 1
    assert found[["predicted", "label"]].to_numpy().tolist() == [[composed, composed], ["fig", "fig"]]
