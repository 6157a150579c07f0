"""Read Label Studio's JSON exports (https://labelstud.io/guide/export) and write its import files.

A task has `data`, whose image is a prefix and then the path inside the source, percent-encoded, and
`annotations`, each one person's answers. Predictions and drafts are nobody's answers.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

from pipeline.errors import DataError, listing
from pipeline.names import clean, key, shown, take_labels
from pipeline.problem.label_sets import SEPARATOR, joined
from pipeline.sources.listing import LabelStatement
from pipeline.sources.metadata import unusable
from pipeline.sources.params import LabelStudioLabels
from pipeline.sources.suggestions import UPLOADED
from pipeline.sources.table_errors import named_rows


def labels_of(tasks: Any, params: LabelStudioLabels, name: str) -> list[LabelStatement]:
    """The label of each image in an export; `row` is the task's id.

    Each person has one vote, however often they answered and for whatever region of the image. Skipped (cancelled)
    answers do not count; if there is no other answer, the label is "". Reasons for rejection: annotators_disagree,
    several_choices (one person chose several, unless params keep such sets), and path_leaves_source (an image without
    the prefix).

    Args:
        tasks: the content of the file.
        name: of the file, for messages.

    Raises:
        DataError: it is not such an export, or params.yaml names an image, a prefix or a choice that it lacks.
    """
    problems = list(_problems(tasks, params))
    if problems:
        raise DataError(unusable(name, problems))
    return [_said(task, number, params) for number, task in enumerate(tasks, 1)]


def notes_of(tasks: Sequence[Mapping[str, Any]], params: LabelStudioLabels) -> tuple[str, ...]:
    """Notes on how the answers of an export were read, one sentence each.

    Args:
        tasks: as labels_of takes them.
    """
    labels = _choices(tasks, params)
    notes = [*take_labels(sorted(labels)).notes, *named_rows(labels.elements())]
    others: Counter[str] = Counter()
    alone = 0
    for task in tasks:
        found = [(one.name, one.kind) for one in _answers(task)]
        other = [f"{shown(repr(name))} ({shown(kind)})" for name, kind in found if not _is_asked(name, kind, params)]
        others.update(other)
        alone += len(other) == len(found) > 0
    if others:
        counts = listing(f"{count:,} {answer}" for answer, count in sorted(others.items()))
        without = f"; {alone:,} tasks have no other answer, and so no label" if alone else ""
        notes.append(f"answers that are none to {params.choice!r} (choices) are not read: {counts}{without}")
    return tuple(notes)


def import_file(paths: Sequence[str], ids: Sequence[str], params: LabelStudioLabels) -> list[dict[str, Any]]:
    """Tasks to import into Label Studio, in the order of the paths."""
    return [
        {"data": {params.image: f"{params.prefix}{quote(path)}", "id": image_id}}
        for path, image_id in zip(paths, ids, strict=True)
    ]


def labelling_interface(classes: Sequence[str], params: LabelStudioLabels) -> str:
    """The labelling interface (https://labelstud.io/tags/choices): choose one class per image, or any number."""
    how_many = "multiple" if params.several_choices == "keep" else "single"
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in classes)
    return (
        f'<View>\n  <Image name="image" value={quoteattr("$" + params.image)}/>\n'
        f'  <Choices name={quoteattr(params.choice)} toName="image" choice="{how_many}" required="true">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )


def _said(task: Mapping[str, Any], number: int, params: LabelStudioLabels) -> LabelStatement:
    image = task["data"][params.image]
    row = task["id"] if isinstance(task.get("id"), int) else number
    if not image.startswith(params.prefix):
        return LabelStatement(
            image, "", row, reason="path_leaves_source", detail=f"it does not start with {params.prefix}"
        )
    path = _path(image, params)
    of_person: dict[str, list[str]] = {}
    for one in _answers(task):
        if _is_asked(one.name, one.kind, params):
            of_person.setdefault(one.person, []).extend(filter(None, map(clean, one.choices)))
    votes_of = [list(dict.fromkeys(choices)) for choices in of_person.values() if choices]
    if params.several_choices == "keep":
        return _set_of_votes(votes_of, path, row, params)
    several = [choices for choices in votes_of if len(choices) > 1]
    if several:
        return LabelStatement(path, "", row, reason="several_choices", detail=" + ".join(several[0]))
    counts = Counter(choices[0] for choices in votes_of)
    if not counts:
        return LabelStatement(path, "", row)
    label, votes = min(counts.items(), key=lambda item: (-item[1], item[0]))
    agreed = len(counts) == 1 or (params.disagreement == "majority" and 2 * votes > counts.total())
    if agreed:
        return LabelStatement(path, label, row)
    words = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return LabelStatement(path, "", row, reason="annotators_disagree", detail=words)


def _set_of_votes(votes: Sequence[Sequence[str]], path: str, row: int, params: LabelStudioLabels) -> LabelStatement:
    """The set of choices that people agree on: all of them, or more than half of them on each choice."""
    if not votes:
        return LabelStatement(path, "", row)
    counts = Counter(choice for choices in votes for choice in choices)
    chosen = [choice for choice, count in counts.items() if 2 * count > len(votes)]
    disputed = {choice: count for choice, count in sorted(counts.items()) if count < len(votes)}
    if chosen and (not disputed or params.disagreement == "majority"):
        return LabelStatement(path, joined(chosen), row)
    words = ", ".join(f"{name} {count} of {len(votes)}" for name, count in disputed.items())
    return LabelStatement(path, "", row, reason="annotators_disagree", detail=words)


def _path(image: str, params: LabelStudioLabels) -> str:
    """The path inside the source that a task's image means."""
    folder, slash, name = unquote(image.removeprefix(params.prefix)).rpartition("/")
    return f"{folder}{slash}{UPLOADED.sub('', name) if params.strip_hash else name}"


@dataclass(frozen=True)
class _Answer:
    """What one person answered to one question; of other kinds than choices, that there is an answer."""

    person: str
    name: str
    kind: str
    choices: Sequence[str]


def _answers(task: Mapping[str, Any]) -> Iterator[_Answer]:
    """The answers that were not skipped."""
    for number, annotation in enumerate(task["annotations"]):
        person = _person(annotation.get("completed_by"), number)
        for result in [] if annotation.get("was_cancelled") else annotation["result"]:
            kind = result.get("type")
            # Relations between regions have no question.
            if kind == "choices" or (isinstance(kind, str) and isinstance(result.get("from_name"), str)):
                choices = result["value"]["choices"] if kind == "choices" else ()
                yield _Answer(person, result["from_name"], kind, choices)


def _person(completed_by: Any, number: int) -> str:
    """Who made an annotation: a number, or an object with one; where nothing says so, each is another person's."""
    if isinstance(completed_by, Mapping):
        completed_by = next((completed_by[name] for name in ("id", "email", "username") if name in completed_by), None)
    if completed_by is None:
        return f"annotation {number}"
    # Exports of one project that were put together may have a person as 1, as "1", and by other capitals of an address.
    return (
        key(str(completed_by))
        if isinstance(completed_by, str | int | float)
        else json.dumps(completed_by, sort_keys=True)
    )


def _is_asked(name: str, kind: str, params: LabelStudioLabels) -> bool:
    return kind == "choices" and name == params.choice


def _choices(tasks: Sequence[Mapping[str, Any]], params: LabelStudioLabels) -> Counter[str]:
    """How often each choice was made, as it is written."""
    return Counter(
        choice
        for task in tasks
        for one in _answers(task)
        if _is_asked(one.name, one.kind, params)
        for choice in one.choices
    )


def _problems(tasks: Any, params: LabelStudioLabels) -> Iterator[str]:
    if not isinstance(tasks, list):
        yield f"it must be a list of tasks, got {type(tasks).__name__}: export from Label Studio as JSON"
        return
    wrong = [number for number, task in enumerate(tasks, 1) if not _is_task(task)]
    if wrong:
        way_out = "export from Label Studio as JSON, not JSON-MIN"
        yield f"{len(wrong)} entries are not tasks with data and annotations: {listing(wrong)}; {way_out}"
        return
    images = [task["data"].get(params.image) for task in tasks]
    without = [number for number, image in enumerate(images, 1) if not isinstance(image, str)]
    if without:
        keys = sorted({key for task in tasks for key in task["data"]})
        yield (
            f"{len(without)} tasks have no text {params.image!r} in data: {listing(without)}; the keys are "
            f"{listing(keys)}"
        )
    elif images and not any(image.startswith(params.prefix) for image in images):
        yield f"no image starts with the prefix {params.prefix!r}; the first is {images[0]!r}"
    asked = {(one.name, one.kind) for task in tasks for one in _answers(task)}
    if asked and not any(_is_asked(name, kind, params) for name, kind in asked):
        there = listing(f"{name!r} ({kind})" for name, kind in sorted(asked))
        yield f"no answer has the name {params.choice!r} and the type choices; the answers are {there}"
    yield from take_labels(sorted(_choices(tasks, params))).problems
    if params.several_choices == "keep" and (
        barred := sorted(name for name in _choices(tasks, params) if SEPARATOR in name)
    ):
        yield f"choices have {SEPARATOR} in their names, which stands between labels: {listing(barred)}; rename them"


def _is_task(task: Any) -> bool:
    if not (isinstance(task, dict) and isinstance(task.get("data"), dict)):
        return False
    annotations = task.get("annotations")
    return isinstance(annotations, list) and all(map(_is_annotation, annotations))


def _is_annotation(annotation: Any) -> bool:
    results = annotation.get("result") if isinstance(annotation, dict) else None
    return isinstance(results, list) and all(map(_is_result, results))


def _is_result(result: Any) -> bool:
    if not isinstance(result, dict) or result.get("type") != "choices":
        return isinstance(result, dict)
    value = result.get("value")
    choices = value.get("choices") if isinstance(value, dict) else None
    named = isinstance(result.get("from_name"), str)
    return named and isinstance(choices, list) and all(isinstance(choice, str) for choice in choices)
