"""Tags of errors: read where their meaning is certain, ranked by what fixing them gains at most."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.diagnosis.error_tags import errors_of, rank_tags, read_tags, tag_table
from pipeline.errors import DataError
from tests.examples import params

EVALUATE = params(**{"evaluate.bootstrap": 200}).evaluate
# Of 20 images of dev the model calls 5 wrong: numbers 0, 4, 8, 12 and 16, surer of the later ones.
LABELS = [str(number % 2) for number in range(20)]
WRONG = set(range(0, 20, 4))


def predictions() -> pd.DataFrame:
    called = [str(1 - int(label)) if number in WRONG else label for number, label in enumerate(LABELS)]
    sure = np.linspace(0.6, 0.9, 20).astype(np.float32)
    dev = pd.DataFrame({"label": LABELS, "predicted": called, "confidence": sure})
    for name in ("0", "1"):
        dev[f"probability_{name}"] = np.where(dev["predicted"] == name, sure, 1 - sure)
    dev = dev.assign(id=[f"phone/{number}.png" for number in range(20)], group=[f"g{n}" for n in range(20)])
    return pd.concat([dev.assign(split="dev"), dev.assign(split="train")], ignore_index=True)


ERRORS = errors_of(predictions(), "dev")


def table(**cells: dict[int, str]) -> dict[str, list[str]]:
    """The table of errors, some cells filled in: {column: {row: text}}."""
    columns = tag_table(ERRORS, [name for name in cells if name != "tags"])
    columns.setdefault("tags", [""] * len(ERRORS))
    for name, texts in cells.items():
        for row, text in texts.items():
            columns[name][row] = text
    return columns


def read(columns: dict[str, list[str]]) -> dict[str, frozenset[str]]:
    return read_tags(columns, range(2, 2 + len(columns["id"])), ERRORS, "errors.csv")


def problems(columns: dict[str, list[str]]) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(columns)
    head, *lines = str(caught.value).split("\n  ")
    assert head == "errors.csv cannot be counted:"
    return "\n".join(lines).split("\nFix the rows")[0].split("\n")


def test_the_surest_errors_come_first() -> None:
    assert ERRORS["id"].tolist() == [f"phone/{number}.png" for number in (16, 12, 8, 4, 0)]
    with pytest.raises(DataError, match="no predictions of train_dev: run `dvc repro evaluate`"):
        errors_of(predictions(), "train_dev")


def test_tags_of_one_column_and_of_many_are_one_list() -> None:
    columns = table(tags={0: "Blurry, too dark", 1: "blurry;", 2: "too  dark\nblurry"}, blurry={3: "X"}, cut={3: "1"})
    blurry, dark = "blurry", "too dark"
    assert read(columns) == {
        "phone/16.png": {blurry, dark},
        "phone/12.png": {blurry},
        "phone/8.png": {blurry, dark},
        "phone/4.png": {blurry, "cut"},
    }


@given(st.permutations(range(5)), st.permutations(["number", "id", "label", "predicted", "confidence", "tags"]))
def test_the_order_of_rows_and_columns_says_nothing(rows: list[int], names: list[str]) -> None:
    whole = table(tags={0: "a", 1: "b", 3: "a,b"})
    shuffled = {name: [whole[name][row] for row in rows] for name in names}
    assert read(shuffled) == read(whole)
    assert read({name: shuffled[name] for name in ("tags", "id")}) == read(whole)


def test_numbers_that_a_program_wrote_its_own_way_are_the_same() -> None:
    columns = table(tags={0: "a"})
    columns["label"] = [f"{label},00" for label in columns["label"]]
    columns["confidence"] = ["9E-1"] * 5
    assert read(columns) == {"phone/16.png": {"a"}}


def test_every_uncertain_cell_is_named_at_once() -> None:
    columns = table(tags={0: "a"}, dark={0: "x", 1: "perhaps"})
    columns["id"] = ["phone/16.png", "phone/12.png", "phone/16.png", "phone/1.png", "nix"]
    columns["label"] = ["0", "1", "0", "0", "0"]
    assert problems(columns) == [
        "2 ids are not errors of the current model: row 5 ('phone/1.png'), row 6 ('nix')",
        "1 images are listed twice: row 4 (as row 2)",
        "label does not fit this model and image: row 3 ('1', not '0')",
        "the column 'dark' is a tag, so its cells must be empty or x: row 3 ('perhaps'); write words in 'tags', "
        "or in 'notes', which is not read",
    ]


def test_a_table_without_tags_is_refused() -> None:
    columns = table()
    del columns["tags"]
    assert problems(columns) == ["there is no column 'tags' and no other column with tags"]


def test_notes_are_not_read() -> None:
    assert read(table(tags={0: "a"}, notes={0: "=what?", 1: "b"})) == {"phone/16.png": {"a"}}


TAGS = {
    "phone/16.png": frozenset({"blurry", "dark"}),
    "phone/12.png": frozenset({"blurry"}),
    "phone/8.png": frozenset({"blurry"}),
    "phone/4.png": frozenset({"cut"}),
}


def test_tags_are_ranked_by_what_fixing_them_gains_at_most() -> None:
    found = rank_tags(predictions(), "dev", TAGS, EVALUATE)
    assert [(one.tag, one.images, one.share) for one in found] == [
        ("blurry", 3, 0.6),
        ("cut", 1, 0.2),
        ("dark", 1, 0.2),
    ]
    assert [one.gain for one in found] == pytest.approx([0.15, 0.05, 0.05])
    assert [one.accuracy for one in found] == [0.15, 0.05, 0.05]
    low, high = found[0].low, found[0].high
    assert low is not None
    assert high is not None
    # Exact: 3 of 20 (Clopper and Pearson).
    assert (round(low, 4), round(high, 4)) == (0.0321, 0.3789)


def test_too_few_groups_give_no_interval() -> None:
    pairs = predictions().assign(group=lambda frame: frame["id"].str.extract(r"(\d+)")[0].astype(int) // 2)
    found = rank_tags(pairs, "dev", TAGS, EVALUATE)
    assert found[0].gain == pytest.approx(0.15)
    assert {(one.low, one.high) for one in found} == {(None, None)}


@pytest.mark.parametrize(
    "metric",
    [
        "log_loss",
        "worst_class_recall",
        "macro_pr_auc",
        "pr_auc",
        {"name": "mean_cost", "costs": {"0": {"1": 5.0}}, "otherwise": 1.0},
        {"name": "class_recall", "label": "0"},
    ],
    ids=str,
)
def test_fixing_errors_makes_no_metric_worse_and_all_of_them_make_it_perfect(metric: Any) -> None:
    evaluate = params(**{"evaluate.bootstrap": 100, "evaluate.optimizing": metric}).evaluate
    every = {image: tags | {"any"} for image, tags in TAGS.items()} | {"phone/0.png": frozenset({"any"})}
    found = rank_tags(predictions(), "dev", every, evaluate)
    assert found[0].tag == "any"
    assert all(one.gain >= 0 for one in found)
    assert all(one.low is None or one.high is None or 0 <= one.low <= one.gain <= one.high for one in found)
    # Of each metric's best value: 1, or 0 where less is better; log loss has other images' doubts left.
    left = {"worst_class_recall": 0.5, "class_recall": 0.5, "mean_cost": 5 * 5.0 / 20}
    name = metric if isinstance(metric, str) else metric["name"]
    assert name not in left or found[0].gain == pytest.approx(left[name])


def test_with_every_image_fixed_no_loss_is_left() -> None:
    evaluate = params(**{"evaluate.bootstrap": 100, "evaluate.optimizing": "log_loss"}).evaluate
    dev = predictions().query("split == 'dev'")
    right = (dev["label"] == dev["predicted"]).to_numpy()
    losses = -np.log(np.where(right, dev["confidence"], 1 - dev["confidence"]))
    (every,) = rank_tags(predictions(), "dev", {image: frozenset({"any"}) for image in dev["id"]}, evaluate)
    assert every.gain == pytest.approx(losses.mean(), abs=1e-6)


def test_of_errors_that_are_as_sure_the_first_id_comes_first() -> None:
    frame = predictions().assign(confidence=np.float32(0.7))
    ids = errors_of(frame.sample(frac=1, random_state=1), "dev")["id"].tolist()
    assert ids == sorted(f"phone/{number}.png" for number in WRONG)


def test_two_errors_may_gain_more_than_three() -> None:
    """By the log loss the sure ones count more."""
    tags = {f"phone/{number}.png": frozenset({"sure" if number > 8 else "doubtful"}) for number in WRONG}
    found = rank_tags(predictions(), "dev", tags, params(**{"evaluate.optimizing": "log_loss"}).evaluate)
    assert [(one.tag, one.images) for one in found] == [("sure", 2), ("doubtful", 3)]
