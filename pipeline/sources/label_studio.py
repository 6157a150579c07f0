"""What Label Studio exports and imports (its JSON format, https://labelstud.io/guide/export), as rows of images.

A task has `data`, whose image is a prefix and then the path inside the source, percent-encoded, and
`annotations`, each one person's answers. Predictions and drafts are nobody's answers.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

from pipeline.errors import DataError, listing
from pipeline.sources.listing import LabelStatement
from pipeline.sources.metadata import unusable
from pipeline.sources.params import LabelStudioLabels


def labels_of(tasks: Any, params: LabelStudioLabels, name: str) -> list[LabelStatement]:
    """What an export says of each image; `row` is the task's id.

    Skipped (cancelled) answers count for nothing; without any other the label is "". Reasons for refusal:
    annotators_disagree, several_choices, and path_leaves_source of an image without the prefix.

    Args:
        tasks: the content of the file.
        name: of the file, for messages.

    Raises:
        DataError: it is no such export, or params name an image, a prefix or a choice that it does not have.
    """
    problems = list(_problems(tasks, params))
    if problems:
        raise DataError(unusable(name, problems))
    return [_said(task, number, params) for number, task in enumerate(tasks, 1)]


def import_file(paths: Sequence[str], ids: Sequence[str], params: LabelStudioLabels) -> list[dict[str, Any]]:
    """Tasks to be imported, in this order."""
    return [
        {"data": {params.image: f"{params.prefix}{quote(path)}", "id": image_id}}
        for path, image_id in zip(paths, ids, strict=True)
    ]


def labelling_interface(classes: Sequence[str], params: LabelStudioLabels) -> str:
    """The project's labelling interface (https://labelstud.io/tags/choices): one of the classes for an image."""
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in classes)
    return (
        f'<View>\n  <Image name="image" value={quoteattr("$" + params.image)}/>\n'
        f'  <Choices name={quoteattr(params.choice)} toName="image" choice="single" required="true">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )


def _said(task: Mapping[str, Any], number: int, params: LabelStudioLabels) -> LabelStatement:
    image = task["data"][params.image]
    row = task["id"] if isinstance(task.get("id"), int) else number
    if not image.startswith(params.prefix):
        return LabelStatement(
            image, "", row, reason="path_leaves_source", detail=f"it does not start with {params.prefix}"
        )
    path = unquote(image.removeprefix(params.prefix))
    answers = [choices for name, choices in _answers(task) if name == params.choice]
    several = [choices for choices in answers if len(choices) > 1]
    if several:
        return LabelStatement(path, "", row, reason="several_choices", detail=" + ".join(several[0]))
    counts = Counter(choices[0] for choices in answers if choices)
    if not counts:
        return LabelStatement(path, "", row)
    label, votes = min(counts.items(), key=lambda item: (-item[1], item[0]))
    agreed = len(counts) == 1 or (params.disagreement == "majority" and 2 * votes > counts.total())
    if agreed:
        return LabelStatement(path, label, row)
    words = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return LabelStatement(path, "", row, reason="annotators_disagree", detail=words)


def _answers(task: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Name and choices of each answer that was not skipped."""
    for annotation in task["annotations"]:
        for result in [] if annotation.get("was_cancelled") else annotation["result"]:
            if result.get("type") == "choices":
                yield result.get("from_name"), result["value"]["choices"]


def _problems(tasks: Any, params: LabelStudioLabels) -> Iterator[str]:
    if not isinstance(tasks, list):
        yield f"it must be a list of tasks, got {type(tasks).__name__}: export as JSON"
        return
    wrong = [number for number, task in enumerate(tasks, 1) if not _is_task(task)]
    if wrong:
        way_out = "export as JSON, not JSON-MIN"
        yield f"{len(wrong)} entries are no tasks with data and annotations: {listing(wrong)}; {way_out}"
        return
    images = [task["data"].get(params.image) for task in tasks]
    without = [number for number, image in enumerate(images, 1) if not isinstance(image, str)]
    if without:
        keys = sorted({key for task in tasks for key in task["data"]})
        yield f"data of {len(without)} tasks has no text {params.image!r}: {listing(without)}; it has {listing(keys)}"
    elif images and not any(image.startswith(params.prefix) for image in images):
        yield f"no image starts with the prefix {params.prefix!r}; the first is {images[0]!r}"
    names = {name for task in tasks for name, _ in _answers(task)}
    if names and params.choice not in names:
        yield f"no answer is called {params.choice!r}; there are {listing(sorted(map(repr, names)))}"
    choices = {
        choice for task in tasks for name, chosen in _answers(task) if name == params.choice for choice in chosen
    }
    wide = sorted(choice for choice in choices if choice != choice.strip())
    if wide:
        yield f"choices with blanks at their ends: {listing(map(repr, wide))}; remove these, here and in the project"


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
