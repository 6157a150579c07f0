"""`pipeline report`: write the page of the last run.

A command and not a stage, because it also shows experiments and test evaluations, which are not outs of its run.
Whatever came from users (names of classes, files, sources and experiments) is escaped, and stands in a direction of
its own; the page's policy forbids every script and every request, whatever might have slipped through.
"""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.diagnosis.gaps import MEANS
from pipeline.errors import MissingInputError, ParamsError
from pipeline.metrics.measures import METRICS
from pipeline.project.params_file import Params
from pipeline.store.writing import write_files
from pipeline.tools.lineage import model_digest
from pipeline.tools.report.gathering import gather
from pipeline.tools.report.runs import of_other_runs


def write_report(params: Params, output: Path, tags: Path | None = None) -> str:
    """Write the page, and return its path and what it lacks.

    Args:
        tags: a table of errors that was filled in; without one, that of `pipeline errors`, if it is.

    Raises:
        ParamsError: the output is a folder.
        MissingInputError: there is no such table.
        StorageError: the disk refused; an older page is untouched.
    """
    if output.is_dir():
        raise ParamsError(f"--output {output} is a folder: name a file, such as {output}/index.html")
    if tags is not None and not tags.is_file():
        raise MissingInputError(f"--tags {tags} is missing or not a file: `pipeline errors` writes a table to fill in")
    sections = gather(params, tags)
    remarks = of_other_runs()
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(
            sections=sections,
            remarks=remarks,
            model=model_digest(),
            less_is_better=not METRICS.of(params.evaluate.optimizing).maximise,
            means=MEANS,
        )
    )
    write_files({output: page.encode("utf-8", "backslashreplace")})
    lacking = sum(bool(section.missing) for section in sections.values())
    words = [
        *([f"{lacking} of {len(sections)} sections are empty, and say which command fills them"] if lacking else []),
        *([f"{len(remarks)} remarks on other runs"] if remarks else []),
    ]
    return f"{output}: {'; '.join(words) or 'complete'}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline.tools.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"name": _name, "code": _code, "percent": _percent, "points": _points}
    return environment


def _name(text: object) -> Markup:
    """What users called something: control characters as escapes, its direction its own."""
    return Markup("<bdi>{}</bdi>").format(_visible(str(text)).replace("\n", "\\n"))


def _code(text: object) -> Markup:
    """Words with commands in backticks."""
    pieces = _visible(str(text)).split("`")
    marked = [Markup("<code>{}</code>").format(piece) if number % 2 else piece for number, piece in enumerate(pieces)]
    return Markup("<bdi>{}</bdi>").format(Markup("").join(marked))


def _visible(text: str) -> str:
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
