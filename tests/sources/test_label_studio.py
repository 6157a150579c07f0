"""Tasks of Label Studio: what people answered becomes labels, and where they did not agree a reason."""

import json
import re
from typing import Any
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.sources.label_studio import import_file, labelling_interface, labels_of
from pipeline.sources.params import LabelStudioLabels
from tests.examples import REPOSITORY

PREFIX = "/data/local-files/?d=phone/"
EXPORT = json.loads((REPOSITORY / "tests/sources/label_studio/export-1.23.2.json").read_text())


def chosen(disagreement: str = "reject", choice: str = "fruit", prefix: str = PREFIX) -> LabelStudioLabels:
    values = {"image": "image", "prefix": prefix, "choice": choice, "disagreement": disagreement}
    return LabelStudioLabels.model_validate(
        {"name": "label_studio", "file": "export.json", "unlisted": "unlabelled", **values}
    )


def task(*answers: list[str] | None, path: str = "1.png") -> dict[str, Any]:
    """A task with an annotation for each list of choices; None: skipped, after a choice."""
    annotations = [
        {
            "was_cancelled": choices is None,
            "result": [
                {
                    "type": "choices",
                    "from_name": "fruit",
                    "value": {"choices": ["kiwi"] if choices is None else choices},
                }
            ],
        }
        for choices in answers
    ]
    return {"data": {"image": PREFIX + path}, "annotations": annotations}


def said(*answers: list[str] | None, disagreement: str = "reject") -> tuple[str, str, str]:
    [one] = labels_of([task(*answers)], chosen(disagreement), "e.json")
    return one.label, one.reason, one.detail


def test_a_real_export_gives_labels_and_the_reason_where_there_is_none() -> None:
    found = labels_of(EXPORT, chosen(), "e.json")
    # The first part of an image's name is what it shows.
    shown = [one.path.removeprefix("2026 mai/").split("ü")[0] for one in found]
    assert [one.label for one in found] == [*shown[:7], "", "", shown[9], "", ""]
    assert {one.row: (one.reason, one.detail) for one in found if one.reason} == {
        8: ("annotators_disagree", "apple 1, banana 1")
    }


@pytest.mark.parametrize(
    ("answers", "reject", "majority"),
    [
        ([], "", ""),
        ([None, None], "", ""),
        ([["fig"]], "fig", "fig"),
        ([None, ["fig"], []], "fig", "fig"),
        ([["fig"], ["fig"], ["pear"]], "annotators_disagree", "fig"),
        ([["fig"], ["pear"]], "annotators_disagree", "annotators_disagree"),
        ([["fig"], ["fig"], ["pear"], ["kiwi"]], "annotators_disagree", "annotators_disagree"),
        ([["fig", "pear"], ["fig"]], "several_choices", "several_choices"),
    ],
)
def test_answers_of_several_people(answers: list[list[str] | None], reject: str, majority: str) -> None:
    for disagreement, expected in (("reject", reject), ("majority", majority)):
        label, reason, _ = said(*answers, disagreement=disagreement)
        assert (label or reason) == expected


def test_the_order_of_answers_does_not_count() -> None:
    assert said(["pear"], ["fig"]) == said(["fig"], ["pear"]) == ("", "annotators_disagree", "fig 1, pear 1")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), max_size=5))
def test_paths_that_are_written_are_read_again(paths: list[str]) -> None:
    written = json.loads(json.dumps(import_file(paths, paths, chosen())))
    exported = [{**one, "annotations": []} for one in written]
    assert [one.path for one in labels_of(exported, chosen(), "e.json")] == paths


def test_the_labelling_interface_offers_the_classes_whatever_they_are_called() -> None:
    tree = Tree.fromstring(labelling_interface(["<script>", '"a" & b'], chosen()))
    assert [choice.get("value") for choice in tree.iter("Choice")] == ["<script>", '"a" & b']
    assert [(image.get("name"), image.get("value")) for image in tree.iter("Image")] == [("image", "$image")]
    assert [(choices.get("name"), choices.get("toName")) for choices in tree.iter("Choices")] == [("fruit", "image")]


BROKEN: dict[str, tuple[Any, dict[str, str], str]] = {
    "no list": ({"a": 1}, {}, "it must be a list of tasks, got dict: export as JSON"),
    "JSON-MIN": (
        [{"image": "x", "fruit": "fig"}],
        {},
        "1 entries are no tasks with data and annotations: 1; exp",
    ),
    "other image": ([{"data": {"img": "x"}, "annotations": []}], {}, "data of 1 tasks has no text 'image': 1; it"),
    "several images": (
        [{"data": {"image": ["x"]}, "annotations": []}],
        {},
        "data of 1 tasks has no text 'image': 1; it",
    ),
    "blanks": (
        [task(["fig "]), task(["fig"])],
        {},
        "choices with blanks at their ends: 'fig '; remove these, here and",
    ),
    "other prefix": ([task(["fig"])], {"prefix": "s3://b/"}, "no image starts with the prefix 's3://b/'; the first is"),
    "other choice": ([task(["fig"])], {"choice": "label"}, "no answer is called 'label'; there are 'fruit'"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_export_that_does_not_fit_is_refused(kind: str) -> None:
    tasks, changes, message = BROKEN[kind]
    with pytest.raises(DataError, match=rf"^e\.json cannot be used:\n  {re.escape(message)}"):
        labels_of(tasks, chosen(**changes), "e.json")


def test_one_image_outside_the_prefix_costs_itself() -> None:
    first, second = labels_of([task(["fig"]), {**task(["fig"]), "data": {"image": "/etc/x"}}], chosen(), "e.json")
    assert (first.label, second.reason) == ("fig", "path_leaves_source")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "image", "annotations", "result", "value", "choices", "type"]), inner
        )
    ),
    max_leaves=12,
)


def message_of(tasks: list[Any]) -> str:
    try:
        labels_of(tasks, chosen(prefix=""), "e.json")
    except DataError as error:
        return str(error)
    return ""


@settings(deadline=None, max_examples=200)
@given(st.lists(JSON, max_size=3))
def test_any_json_is_labels_or_a_message(tasks: list[Any]) -> None:
    message = message_of(tasks)
    assert not message or message.startswith("e.json cannot be used:")
