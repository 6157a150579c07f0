"""Tasks of Label Studio: what people answered becomes labels, and where they did not agree a reason."""

import json
import re
from typing import Any
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.sources.label_studio import import_file, labelling_interface, labels_of, notes_of
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
        8: ("several_choices", "apple + banana")
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


@pytest.mark.parametrize(
    ("answers", "reject", "majority"),
    [
        ([["pear", "fig"]], "fig|pear", "fig|pear"),
        ([["fig"], None, []], "fig", "fig"),
        ([], "", ""),
        ([["fig", "pear"], ["pear", "fig"]], "fig|pear", "fig|pear"),
        ([["fig", "pear"], ["fig"], ["fig"]], "annotators_disagree", "fig"),
        ([["fig", "pear"], ["fig", "pear"], ["fig"]], "annotators_disagree", "fig|pear"),
        ([["fig"], ["pear"]], "annotators_disagree", "annotators_disagree"),
    ],
)
def test_several_choices_are_a_set_where_params_keep_them(
    answers: list[list[str] | None], reject: str, majority: str
) -> None:
    for disagreement, expected in (("reject", reject), ("majority", majority)):
        params = chosen(disagreement).model_copy(update={"several_choices": "keep"})
        [one] = labels_of([task(*answers)], params, "e.json")
        assert (one.label or one.reason) == expected
    assert 'choice="multiple"' in labelling_interface(["fig"], params)
    with pytest.raises(DataError, match=r"choices have \| in their names"):
        labels_of([task(["fig|pear"])], params, "e.json")


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
    "no list": ({"a": 1}, {}, "it must be a list of tasks, got dict: export from Label Studio as JSON"),
    "JSON-MIN": (
        [{"image": "x", "fruit": "fig"}],
        {},
        "1 entries are not tasks with data and annotations: 1; exp",
    ),
    "other image": ([{"data": {"img": "x"}, "annotations": []}], {}, "1 tasks have no text 'image' in data: 1; the"),
    "several images": (
        [{"data": {"image": ["x"]}, "annotations": []}],
        {},
        "1 tasks have no text 'image' in data: 1; the",
    ),
    "capitals": (
        [task(["Fig"]), task(["fig"])],
        {},
        "labels that may mean the same class, spelt in several ways (bytes in brackets): Fig [46 69 67] and fig "
        "[66 69 67].",
    ),
    "control characters": ([task(["f\x1big"])], {}, "1 of the labels has control characters: f\\x1big [66 1b 69 67]"),
    "other prefix": ([task(["fig"])], {"prefix": "s3://b/"}, "no image starts with the prefix 's3://b/'; the first is"),
    "other choice": (
        [task(["fig"])],
        {"choice": "label"},
        "no answer has the name 'label' and the type choices; the answers are 'fruit' (choices)",
    ),
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


def annotated(*answers: tuple[Any, str, str, list[str]], path: str = "1.png") -> dict[str, Any]:
    """A task with an annotation for each answer: who, type, question, and what."""
    return {
        "data": {"image": PREFIX + path},
        "annotations": [
            {"completed_by": who, "result": [{"type": kind, "from_name": name, "value": {kind: chosen}}]}
            for who, kind, name, chosen in answers
        ],
    }


def outcome_of(*answers: tuple[Any, str], disagreement: str = "majority") -> str:
    task_of_people = annotated(*((who, "choices", "fruit", [label]) for who, label in answers))
    [one] = labels_of([task_of_people], chosen(disagreement), "e.json")
    return one.label or one.reason


def test_a_person_has_one_vote() -> None:
    assert outcome_of((1, "fig"), (1, "fig"), (2, "pear")) == "annotators_disagree"
    assert outcome_of((1, "fig"), (3, "fig"), (2, "pear")) == "fig"
    assert outcome_of(({"id": 1, "email": "a@b.c"}, "fig"), ({"id": 1}, "fig"), (2, "pear")) == "annotators_disagree"
    assert outcome_of((1, "fig"), (1, "pear")) == "several_choices"
    # Where nothing says who, each is another person.
    assert outcome_of((None, "fig"), (None, "fig"), (None, "pear")) == "fig"


def test_choices_by_region_are_one_vote_or_several_choices() -> None:
    def regions(*choices: str) -> dict[str, Any]:
        results = [{"type": "choices", "from_name": "fruit", "value": {"choices": [one]}} for one in choices]
        return {"data": {"image": PREFIX}, "annotations": [{"completed_by": 1, "result": results}]}

    same, other = labels_of([regions("fig", "fig"), regions("fig", "fig", "pear")], chosen("majority"), "e.json")
    assert (same.label, other.reason, other.detail) == ("fig", "several_choices", "fig + pear")


def test_choices_that_look_the_same_are_one_label_with_a_note() -> None:
    tasks = [annotated((1, "choices", "fruit", ["caf\u00e9"]), (2, "choices", "fruit", ["cafe\u0301 "]))]
    [one] = labels_of(tasks, chosen(), "e.json")
    assert one.label == "caf\u00e9"
    [note] = notes_of(tasks, chosen())
    assert note.startswith("labels were cleaned (spaces at the ends")


def test_answers_to_other_questions_and_of_other_types_are_told_with_counts() -> None:
    tasks = [
        annotated((1, "choices", "fruit", ["fig"]), (1, "rating", "ripe", ["4"])),
        annotated((1, "choices", "label", ["fig"]), (2, "choices", "label", ["fig"])),
        annotated((1, "taxonomy", "fruit", ["fig"])),
        annotated(),
    ]
    assert [one.label for one in labels_of(tasks, chosen(), "e.json")] == ["fig", "", "", ""]
    assert notes_of(tasks, chosen()) == (
        "answers that are none to 'fruit' (choices) are not read: 1 'fruit' (taxonomy), 2 'label' (choices), "
        "1 'ripe' (rating); 2 tasks have no other answer, and so no label",
    )
    assert notes_of(tasks[:1] + tasks[3:], chosen()) == (
        "answers that are none to 'fruit' (choices) are not read: 1 'ripe' (rating)",
    )
    with pytest.raises(
        DataError, match=r"no answer has the name 'fruit' and the type choices; the answers are 'fruit' \(tax"
    ):
        labels_of([tasks[2]], chosen(), "e.json")


@pytest.mark.parametrize(
    ("image", "path"),
    [
        ("3f2a9b1c-cat_1.jpg", "cat_1.jpg"),
        ("a/3f2a9b1c-1.png", "a/1.png"),
        ("a//3f2a9b1c-1.png", "a//1.png"),
        ("3f2a9b1c-", "3f2a9b1c-"),
        ("3F2A9B1C-1.png", "3F2A9B1C-1.png"),
        ("3f2a9b1-1.png", "3f2a9b1-1.png"),
        ("3f2a9b1c-3f2a9b1c-1.png", "3f2a9b1c-1.png"),
    ],
)
def test_the_mark_of_an_upload_can_be_taken_off(image: str, path: str) -> None:
    for strip, expected in ((True, path), (False, image)):
        params = chosen().model_copy(update={"strip_hash": strip})
        assert [one.path for one in labels_of([annotated(path=image)], params, "e.json")] == [expected]


@pytest.mark.parametrize("other", ["7", 7.0, {"id": 7}, {"id": "7"}])
def test_a_person_has_one_vote_however_an_export_names_them(other: Any) -> None:
    one = task(["fig"], ["fig"], ["kiwi"])
    for annotation, person in zip(one["annotations"], (7, other, 8), strict=True):
        annotation["completed_by"] = person
    [found] = labels_of([one], chosen("majority"), "e.json")
    assert (found.label, found.reason, found.detail) == ("", "annotators_disagree", "fig 1, kiwi 1")
