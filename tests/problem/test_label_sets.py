"""Sets of labels as texts, the problem multi_label, and what params may not say with it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError, ParamsError
from pipeline.problem.label_sets import NONE, LabelNames, all_names, joined, membership, names_in, texts_of
from pipeline.problem.problem import PROBLEMS, is_multi_label
from tests.examples import params

SEVERAL = {"problem": {"name": "multi_label"}, "balance.strategy": {"name": "none"}, "evaluate.optimizing": "macro_f1"}


def sets(labels: list[str], **values: Any) -> dict[str, str]:
    chosen = params(**{**SEVERAL, "problem": {"name": "multi_label", **values}}).problem
    assert is_multi_label(chosen)
    return PROBLEMS.of(chosen).relabel(chosen, labels)


@given(st.lists(st.sets(st.sampled_from(["a", "b b", "c"])), max_size=9))
def test_sets_are_texts_and_back(wanted: list[set[str]]) -> None:
    texts = [joined(each) for each in wanted]
    assert [{*names_in(text)} for text in texts] == wanted
    names = all_names(texts)
    assert isinstance(names, LabelNames)
    assert set(names) == set().union(*wanted) if wanted else not names
    if names:
        assert texts_of(membership(np.array(texts, object), names), names).tolist() == texts


def test_a_set_with_an_unknown_label_is_refused() -> None:
    with pytest.raises(DataError, match=r"does not know the labels fig: it was trained on apple"):
        membership(np.array(["apple|fig"]), LabelNames(("apple",)))


def test_cells_become_sets_with_their_names_in_order() -> None:
    assert sets(["dog | cat", "cat", "cat|cat", ""]) == {"dog | cat": "cat|dog", "cat|cat": "cat"}
    assert sets(["nothing", "cat"], none="nothing") == {"nothing": NONE}


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        (["cat|"], {}, r"the label cat\| has nothing on one side of a \|"),
        ([NONE], {}, "which stands for no label"),
        (["cat|nothing", "nothing"], {"none": "nothing"}, r"says nothing \(problem.none\) beside other labels"),
        (["cat|dog", "Cat"], {}, "labels that may mean the same class"),
        (
            ["cat", "nothin"],
            {"none": "nothing"},
            "problem.none names the class nothing, which no image has, did you mean nothin",
        ),
        (["nothing"], {"none": "nothing"}, "no image has a label"),
    ],
)
def test_labels_that_are_no_sets_are_refused(labels: list[str], values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        sets(labels, **values)


def test_params_that_need_one_class_per_image_are_refused_all_at_once() -> None:
    changes = {
        "problem": {"name": "multi_label"},
        "sources.web": {**table(None), "role": "raw"},
        "balance.strategy": {"name": "weights"},
        "augment.copies": {"name": "per_class", "counts": {}, "otherwise": 1},
        "train.loss": {"name": "focal", "gamma": 2.0},
        "train.class_weights": {"cat": 2.0},
        "train.unlabelled": {"name": "pseudo_labels"},
        "evaluate.optimizing": "accuracy",
    }
    with pytest.raises(ParamsError) as caught:
        params(**changes)
    lines = str(caught.value).splitlines()[1:]
    assert [line.strip().partition(":")[0] for line in lines] == ["sources", "balance", "augment", "train", "evaluate"]
    text = "\n".join(lines)
    levers = ("strategy weights", "per_class", "loss focal", "unlabelled pseudo_labels", "class_weights")
    for told in ("sources: web.labels: set separator", *levers):
        assert told in text
    assert "optimizing: the metric accuracy needs exactly one class per image" in text
    forest = {"name": "majority_class"}
    with pytest.raises(ParamsError, match="model majority_class gives each image one class"):
        params(**SEVERAL, **{"train.model": forest})
    with pytest.raises(
        ParamsError, match=r"sources: web.labels.separator makes several labels of a cell: take problem"
    ):
        params(**{"sources.web": {**table("|"), "role": "raw"}})


def table(separator: str | None) -> dict[str, Any]:
    columns = {"path": "file", "label": "shapes", "group": None, "captured_at": None}
    labels = {"name": "table", "file": "t.csv", "columns": columns, "unlisted": "ignore", "separator": separator}
    return {"path": "somewhere", "labels": labels}


def test_images_without_a_label_do_not_teach_several_labels() -> None:
    with pytest.raises(ParamsError, match="unlabelled pseudo_labels gives each image without a label one class"):
        params(**SEVERAL, **{"train.unlabelled": {"name": "pseudo_labels"}})
