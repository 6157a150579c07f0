"""Read and check the whole of params.yaml, and report all broken rules at once."""

import difflib
import itertools
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator

from pipeline.errors import MissingInputError, ParamsError
from pipeline.metrics.class_measures import MeanCost
from pipeline.metrics.distance_measures import MeanDistance, with_relation
from pipeline.metrics.metric_params import MetricParams
from pipeline.names import shown
from pipeline.problem.problem import AnyProblem
from pipeline.problem_rules import broken_rules
from pipeline.registry import OneOf
from pipeline.renamed import renamed
from pipeline.section import Section
from pipeline.sources.params import SourceName, SourceParams
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.balance.params import BalanceParams
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.diagnose.params import DiagnoseParams
from pipeline.stages.embed.params import EmbedParams
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.final_evaluation.params import FinalEvaluationParams
from pipeline.stages.ingest.params import IngestParams
from pipeline.stages.label_issues.params import LabelIssuesParams
from pipeline.stages.sample.params import SampleParams
from pipeline.stages.split.params import SplitParams
from pipeline.stages.train.params import TrainParams
from pipeline.training.loss_functions import LOSSES, needs_mean_cost
from pipeline.tuning.params import TuneParams
from pipeline.yaml_values import MAX_CHARACTERS, quoted, shortened, yaml_values

PARAMS_FILE = Path("params.yaml")
# What a message quotes of a file that is wrong through and through.
MAX_PROBLEMS = 50
MAX_IN_LINE = 600
MAX_NAME = 60
# What YAML calls what pydantic names after Python's types.
WORDS = {
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_attributes_type", "model_type"), "must be a mapping"),
    "string_type": "must be text",
}


class Params(Section):
    """The whole of params.yaml."""

    # First, because the rules of the others depend on it.
    problem: AnyProblem
    sources: Mapping[SourceName, SourceParams]
    sample: SampleParams | None = None
    ingest: IngestParams
    embed: EmbedParams
    curate: CurateParams
    split: SplitParams
    balance: BalanceParams
    augment: AugmentParams
    train: TrainParams
    evaluate: EvaluateParams
    label_issues: LabelIssuesParams
    diagnose: DiagnoseParams
    final_evaluation: FinalEvaluationParams
    tune: TuneParams

    @field_validator("sources")
    @classmethod
    def _both_roles(cls, sources: Mapping[str, SourceParams]) -> Mapping[str, SourceParams]:
        roles = [source.role for source in sources.values()]
        if "production" not in roles:
            raise ValueError(
                "no source has the role production, but dev and test come from production images only: add a "
                "production source"
            )
        # Lists may share a folder: each image then counts where it is listed.
        whole = {name for name, one in sources.items() if getattr(one.labels, "unlisted", "") != "ignore"}
        paths = sorted((Path(source.path) / (source.inside or ""), name) for name, source in sources.items())
        for (outer, one), (inner, other) in itertools.combinations(paths, 2):
            if inner.is_relative_to(outer) and {one, other} & whole:
                paths_of = [posixpath.join(sources[name].path, sources[name].inside or "") for name in (other, one)]
                raise ValueError(
                    f"the path {paths_of[0].rstrip('/')} is inside {paths_of[1].rstrip('/')}, the path of another "
                    "source, so each image would count twice"
                )
        return sources

    @field_validator("sources", "balance", "augment", "train", "evaluate", "diagnose")
    @classmethod
    def _fits_the_problem(cls, section: Any, info: ValidationInfo) -> Any:
        if "problem" in info.data and (broken := broken_rules(info.data["problem"], str(info.field_name), section)):
            raise ValueError("; ".join(broken))
        return section

    @field_validator("evaluate")
    @classmethod
    def _relation_of_the_classes(cls, evaluate: EvaluateParams, info: ValidationInfo) -> EvaluateParams:
        """Metrics that need an order or a tree, and have none, take that of the problem."""
        if (problem := info.data.get("problem")) is None:
            return evaluate
        complete = partial(with_relation, order=getattr(problem, "order", None), tree=getattr(problem, "tree", None))
        limits = {
            name: limit.model_copy(update={"metric": complete(limit.metric)})
            if isinstance(limit.metric, MetricParams)
            else limit
            for name, limit in evaluate.satisficing.items()
        }
        return evaluate.model_copy(update={"optimizing": complete(evaluate.optimizing), "satisficing": limits})

    @field_validator("evaluate")
    @classmethod
    def _costs_of_the_loss(cls, evaluate: EvaluateParams, info: ValidationInfo) -> EvaluateParams:
        train = info.data.get("train")
        if train is None or isinstance(evaluate.optimizing, MeanCost | MeanDistance):
            return evaluate
        if LOSSES.of(train.loss).needs_costs:
            raise ValueError(needs_mean_cost(train.loss.name, evaluate.optimizing.name))
        return evaluate


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check every section of a params file.

    Raises:
        MissingInputError: the file does not exist.
        ParamsError: it is not YAML, or values break rules; the message lists all of them.
    """
    return check_params(params_values(path), str(path))


def params_values(path: Path = PARAMS_FILE) -> Any:
    """The values of a params file, not checked.

    Raises:
        MissingInputError: the file does not exist.
        ParamsError: it is not YAML.
    """
    try:
        if not (path.is_file() or path.is_dir()) and path.exists():
            # A pipe in its place would be waited for.
            raise ParamsError(f"{path} is not a file: put a text file there")
        # One more than is allowed, and no more: a comment may have any length.
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} is missing: run this command in the folder that holds it") from error
    except OSError as error:
        raise ParamsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not UTF-8 text: {error}") from error
    try:
        return yaml_values(text)
    except ValueError as error:
        raise ParamsError(f"{path} {error}") from error


def check_params(values: object, name: str = "params") -> Params:
    """Check the values of a params file that are already in memory.

    Raises:
        ParamsError: values break rules; the message lists all of them.
    """
    if not isinstance(values, dict):
        raise ParamsError(f"{name} must be a mapping of sections, got {type(values).__name__}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = list(itertools.islice(_problems(error, values), MAX_PROBLEMS))
        count = error.error_count()
        more = [f"and {count - len(lines)} more"] if count > len(lines) else []
        head = f"{name} breaks {count} rule{'s' if count > 1 else ''}:"
        raise ParamsError("\n  ".join([head, *(shortened(line, MAX_IN_LINE) for line in lines), *more])) from None


def _problems(error: ValidationError, values: dict[str, Any]) -> Iterator[str]:
    items = error.errors(include_url=False)
    places = [
        ".".join(shown(str(part), MAX_NAME) for part in _path_in(values, item["loc"], item["type"] == "missing"))
        for item in items
    ]
    # Of a param under its old name it is enough to say once what it is called now.
    new_names = {renamed(place) for place in places}
    for item, where in zip(items, places, strict=True):
        rule = item["msg"].removeprefix("Value error, ")
        match item["type"]:
            case "missing" if where in new_names:
                continue
            case "missing":
                yield f"{where}: is missing and has no default: add it"
            case "extra_forbidden":
                new = renamed(where)
                hint = f"was renamed: write {new}" if new else f"no such param{_nearest(where, item['loc'])}"
                yield f"{where}: {hint}"
            case "value_error":
                yield f"{where}: {rule}"
            case "union_tag_invalid":
                named, known = item["ctx"]["tag"], item["ctx"]["expected_tags"]
                near = _close(named, [name.strip("'") for name in known.split(", ")])
                hint = f", did you mean {near[0]}?" if near else ";"
                yield f"{where}: there is no choice {quoted(named)}{hint} it may be {known}"
            case kind:
                rule = WORDS.get(kind, f"{rule[0].lower()}{rule[1:]}")
                quotes = kind == "string_type" and isinstance(item["input"], bool | int | float | date)
                yield f"{where}: {rule}, got {quoted(item['input'])}{': put it in quotes' if quotes else ''}"


def _path_in(values: Any, location: tuple[int | str, ...], missing: bool) -> tuple[int | str, ...]:
    """The location without the tags that pydantic adds for members of a union."""
    path: list[int | str] = []
    for at, part in enumerate(location):
        last = at == len(location) - 1
        in_list = isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)
        if in_list or (isinstance(values, Mapping) and part in values):
            values = values[part]
        elif not (last and missing):
            continue
        path.append(part)
    return tuple(path)


def _nearest(where: str, tagged: tuple[int | str, ...]) -> str:
    """A hint for a misspelt key: the nearest right one, or all that are allowed there."""
    known = sorted(_fields_at(tagged[:-1]))
    near = _close(where.rpartition(".")[2], known)
    return f", did you mean {near[0]}?" if near else f"; the keys here are {', '.join(known)}"


def _close(name: str, known: Sequence[str]) -> list[str]:
    """The known name that is most like one, if any is; of a long name its beginning alone is looked at."""
    return difflib.get_close_matches(name[:MAX_NAME], known, n=1)


def _fields_at(location: tuple[int | str, ...]) -> set[str]:
    """Names of the params that may stand at a place, following pydantic's own location."""
    models: list[type[BaseModel]] = [Params]
    for part in location:
        fields = [model.model_fields[str(part)] for model in models if part in model.model_fields]
        steps = [step for field in fields for step in (field.annotation, *field.metadata)]
        # Without a field of that name the part is a key of a mapping or the tag of a union's member.
        tagged = [model for model in models if _tag(model) == part]
        models = [found for step in steps for found in _models_in(step)] or tagged or models
    return {name for model in models for name in model.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, OneOf):
        yield from annotation.members
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("name")
    tags = get_args(field.annotation) if field else ()
    return tags[0] if len(tags) == 1 else None
