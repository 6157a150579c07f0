"""params.yaml as types: one class per section, closed, frozen, without defaults.

DVC sees only what stands in params.yaml, so nothing here has a default: a value that shapes a
result is always written down. `load_params` reports every broken rule at once.
"""

import difflib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import MissingInputError, ParamsError

PARAMS_FILE = Path("params.yaml")

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
MOST_COPIES = 100
MOST_WIDTH = 512
# Source names stand in shell commands and paths, so that they are kept plain.
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Metric = Literal["accuracy", "balanced_accuracy", "macro_f1"]
Limit = Literal["accuracy", "balanced_accuracy", "macro_f1", "worst_class_recall", "model_megabytes"]


class Section(BaseModel):
    """A part of params.yaml: unknown keys, coercions, NaN and later changes are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SourceParams(Section):
    """Where images come from: `raw` ones only train, `production` ones also measure."""

    role: Literal["raw", "production"]
    path: Annotated[str, Field(min_length=1)]


class SampleParams(Section):
    """The demonstration data; `raw_imbalance` is largest over smallest raw class (1 = even)."""

    seed: Seed
    raw_imbalance: Annotated[float, Field(ge=1, le=100)]


class JpegEncoding(Section):
    """Lossy, for photos."""

    name: Literal["jpeg"]
    quality: Annotated[int, Field(ge=1, le=100)]


class PngEncoding(Section):
    """Lossless, for tiny pictures and line art."""

    name: Literal["png"]


class IngestParams(Section):
    """How a file becomes a square picture of `size` pixels a side."""

    size: Annotated[int, Field(ge=8, le=1024)]
    fit: Literal["crop", "pad", "stretch"]
    encoding: Annotated[JpegEncoding | PngEncoding, Field(discriminator="name")]
    max_pixels: Count
    max_bytes: Count
    max_rejected: Share


class CurateParams(Section):
    """What happens to one picture that stands under two labels."""

    conflicting_labels: Literal["reject", "keep", "error"]


class ProductionShares(Section):
    """Shares of the production images; they sum to 1."""

    train: Annotated[float, Field(ge=0, lt=1)]
    dev: OpenShare
    test: OpenShare

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = self.train + self.dev + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + dev + test must sum to 1, got {total:.6g}")
        return self


class ProductionCounts(Section):
    """How many production images dev and test get; train gets the rest."""

    dev: Count
    test: Count


def _kind_of_production(value: Any) -> str:
    """Counts are whole numbers; which of the two models reads a mapping shows in its messages."""
    dev = value.get("dev") if isinstance(value, dict) else getattr(value, "dev", None)
    return "counts" if isinstance(dev, int) else "shares"


class Folds(Section):
    """k-fold: production images but test's fall into `count` folds, of which number `dev` is dev."""

    count: Annotated[int, Field(ge=2, le=100)]
    dev: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _dev_is_a_fold(self) -> Self:
        if self.dev >= self.count:
            raise ValueError(f"dev must be a fold from 0 to {self.count - 1}, got {self.dev}")
        return self


class MatchingParams(Section):
    """At which level a test counts as failed, and what follows when dev or test fail."""

    level: OpenShare
    on_mismatch: Literal["warn", "fail"]


class SplitParams(Section):
    """How rows go to train, train_dev, dev and test.

    one_sided_classes: classes that only raw or only production has. `error` names them; `drop` takes
    them out; `train` keeps what raw alone has in train and train_dev, unmeasured, and splits what
    production alone has as any other class.
    """

    seed: Seed
    method: Literal["hash", "newest"]
    production: Annotated[
        Annotated[ProductionShares, Tag("shares")] | Annotated[ProductionCounts, Tag("counts")],
        Discriminator(_kind_of_production),
    ]
    production_in_train: Share
    train_dev: OpenShare
    stratify_by: Annotated[tuple[str, ...], Field(strict=False)]
    min_per_class: Count
    one_sided_classes: Literal["error", "drop", "train"]
    frozen_from: Annotated[str, Field(min_length=1)] | None
    folds: Folds | None
    expected_accuracy: OpenShare
    matching: MatchingParams


class Majority(Section):
    """As many rows as the largest class has."""

    name: Literal["majority"]


class Minority(Section):
    """As many rows as the smallest class has."""

    name: Literal["minority"]


class Median(Section):
    """As many rows as the median of the classes, rounded down."""

    name: Literal["median"]


class RowCount(Section):
    """So many rows."""

    name: Literal["count"]
    rows: Annotated[int, Field(ge=1, le=1_000_000_000)]


class Ratio(Section):
    """So many rows that the smallest class has at least this share of the largest."""

    name: Literal["ratio"]
    value: Annotated[float, Field(ge=1e-6, le=1)]


# A target that would change nothing is not offered: undersampling to the largest class, for one.
UpTarget = Annotated[Majority | Median | RowCount | Ratio, Field(discriminator="name")]
DownTarget = Annotated[Minority | Median | RowCount | Ratio, Field(discriminator="name")]
AnyTarget = Annotated[Majority | Minority | Median | RowCount | Ratio, Field(discriminator="name")]


class NoBalance(Section):
    """Leave the class counts alone."""

    name: Literal["none"]


class Oversample(Section):
    """Repeat rows of classes below the target."""

    name: Literal["oversample"]
    target: UpTarget


class Undersample(Section):
    """Drop rows of classes above the target."""

    name: Literal["undersample"]
    target: DownTarget


class OverAndUndersample(Section):
    """Repeat rows of classes below the target, drop rows of those above it.

    A ratio is a band around the median: from median x sqrt(ratio) to median / sqrt(ratio).
    """

    name: Literal["both"]
    target: AnyTarget


class TomekLinks(Section):
    """Drop rows whose nearest picture is of another class, and is theirs in turn (Tomek, 1976)."""

    name: Literal["tomek_links"]


class EditedNearestNeighbours(Section):
    """Drop rows whose nearest pictures are of other classes: if any of them is, or most are (Wilson, 1972)."""

    name: Literal["edited_nearest_neighbours"]
    neighbours: Annotated[int, Field(ge=1, le=100)]
    drop_if: Literal["any", "most"]


class NearMiss(Section):
    """Drop rows of classes above the target, keeping pictures near the smallest class (Mani and Zhang, 2003).

    version: 1 keeps those nearest to their nearest pictures of the smallest class, 2 those nearest to
    its farthest ones, 3 the farthest of those that are neighbours of one of its pictures.
    """

    name: Literal["near_miss"]
    version: Literal[1, 2, 3]
    neighbours: Annotated[int, Field(ge=1, le=100)]
    target: DownTarget


class ClassWeights(Section):
    """Leave the rows alone and let the loss weigh them, so that each class counts alike."""

    name: Literal["weights"]


class BalanceParams(Section):
    """How classes and roles are evened out in the training rows.

    production_weight: each production row counts as so many raw ones of its class, in class sizes,
    targets and draws alike: it stands so many times as often as they do, to the nearest row. The
    strategy `weights` puts it into the loss instead. 1 = off.
    """

    seed: Seed
    production_weight: Annotated[float, Field(ge=1, le=100)]
    strategy: Annotated[
        NoBalance
        | Oversample
        | Undersample
        | OverAndUndersample
        | TomekLinks
        | EditedNearestNeighbours
        | NearMiss
        | ClassWeights,
        Field(discriminator="name"),
    ]


class Transform(BaseModel):
    """One albumentations transform: `name`, and its arguments under the library's own names."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    # pydantic checks extra values only where their type says how.
    __pydantic_extra__: dict[str, JsonValue]

    name: Annotated[str, Field(min_length=1)]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the transform, as params.yaml has them."""
        return dict(self.model_extra or {})


class AugmentParams(Section):
    """`copies` new variants of each training image, through `transforms` in order."""

    seed: Seed
    copies: Annotated[int, Field(ge=0, le=MOST_COPIES)]
    transforms: Annotated[tuple[Transform, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _copies_need_transforms(self) -> Self:
        if self.copies and not self.transforms:
            raise ValueError("copies without transforms would repeat images: name a transform or set copies to 0")
        return self


class Cnn(Section):
    """Blocks of convolution, norm, activation and pooling; each doubles the width."""

    name: Literal["cnn"]
    depth: Annotated[int, Field(ge=1, le=6)]
    width: Annotated[int, Field(ge=1, le=MOST_WIDTH)]
    kernel: Literal[1, 3, 5, 7]
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    batch_norm: bool


class Sgd(Section):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]


class AdamW(Section):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

    name: Literal["adamw"]
    weight_decay: Annotated[float, Field(ge=0)]


class TrainParams(Section):
    """The model and how it is fitted; `patience` counts epochs without a better dev metric.

    `threads` is a param, not an engine setting: sums are split by it, so it shows in the last digits.
    """

    seed: Seed
    model: Cnn
    optimizer: Annotated[Sgd | AdamW, Field(discriminator="name")]
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    batch_size: Count
    epochs: Count
    patience: Count
    threads: Annotated[int, Field(ge=1, le=256)]


class Bounds(Section):
    """A limit: at least `min`, at most `max`, or both; null means no bound on that side."""

    min: float | None
    max: float | None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("min and max are both null: give one of them a number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min must not be above max, got {self.min} and {self.max}")
        return self


class EvaluateParams(Section):
    """One optimizing metric, measured on dev, and limits that must hold there."""

    seed: Seed
    optimizing: Metric
    satisficing: Mapping[Limit, Bounds]
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]


class DiagnoseParams(Section):
    """`human_error` as a share; gaps below `relevant_gap` are not worth a team's week."""

    human_error: Share
    relevant_gap: Annotated[float, Field(gt=0, lt=1)]


class Params(Section):
    """The whole of params.yaml."""

    sources: Mapping[SourceName, SourceParams]
    sample: SampleParams
    ingest: IngestParams
    curate: CurateParams
    split: SplitParams
    balance: BalanceParams
    augment: AugmentParams
    train: TrainParams
    evaluate: EvaluateParams
    diagnose: DiagnoseParams

    @field_validator("sources")
    @classmethod
    def _both_roles(cls, sources: Mapping[str, SourceParams]) -> Mapping[str, SourceParams]:
        roles = [source.role for source in sources.values()]
        if "production" not in roles:
            raise ValueError("no source has role production: dev and test can come from nowhere")
        paths = sorted(Path(source.path) for source in sources.values())
        for outer, inner in itertools.combinations(paths, 2):
            if inner.is_relative_to(outer):
                raise ValueError(f"the path {inner} lies in {outer}, another source's: each image would count twice")
        return sources


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Every section of a params file, checked.

    Raises:
        MissingInputError: there is no such file.
        ParamsError: it is not YAML, or values break rules; all of them are in the message.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} is missing: run this in the folder that holds it") from error
    except OSError as error:
        raise ParamsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not UTF-8 text: {error}") from error
    try:
        # YAML 1.2, as DVC reads it: 1e-3 is a number, a repeated key is an error.
        values = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:  # ValueError: tagged or date-like values that are none
        raise ParamsError(f"{path} is not valid YAML: {error}") from error
    return check_params(values, str(path))


def check_params(values: object, name: str = "params") -> Params:
    """The same for values that are in memory.

    Raises:
        ParamsError: values break rules; all of them are in the message.
    """
    if not isinstance(values, dict):
        raise ParamsError(f"{name} must hold sections, got {type(values).__name__}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = list(_problems(error, values))
        head = f"{name} breaks {len(lines)} rule{'s' if len(lines) > 1 else ''}:"
        raise ParamsError("\n  ".join([head, *lines])) from error


def _problems(error: ValidationError, values: dict[str, Any]) -> Iterator[str]:
    for item in error.errors(include_url=False):
        location = _path_in(values, item["loc"], missing=item["type"] == "missing")
        where = ".".join(map(str, location))
        rule = item["msg"].removeprefix("Value error, ")
        match item["type"]:
            case "missing":
                yield f"{where}: is missing, and there are no hidden defaults: add it"
            case "extra_forbidden":
                yield f"{where}: no such param{_nearest(location, item['loc'])}"
            case "value_error":
                yield f"{where}: {rule}"
            case _:
                yield f"{where}: {rule[0].lower()}{rule[1:]}, got {item['input']!r}"


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


def _nearest(location: tuple[int | str, ...], tagged: tuple[int | str, ...]) -> str:
    """A hint for a misspelt key: the nearest right one, or all that are allowed there."""
    known = sorted(_fields_at(tagged[:-1]))
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f", did you mean {near[0]}?" if near else f"; here stand {', '.join(known)}"


def _fields_at(location: tuple[int | str, ...]) -> set[str]:
    """Names of the params that may stand at a place, following pydantic's own location."""
    models: list[type[BaseModel]] = [Params]
    for part in location:
        steps = [model.model_fields[str(part)].annotation for model in models if part in model.model_fields]
        # Without a field of that name the part is a key of a mapping or the tag of a union's member.
        tagged = [model for model in models if _tag(model) == part]
        models = [found for step in steps for found in _models_in(step)] or tagged or models
    return {name for model in models for name in model.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("name")
    tags = get_args(field.annotation) if field else ()
    return tags[0] if len(tags) == 1 else None
