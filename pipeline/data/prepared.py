"""The rows of each split as the last run left them, and where their pictures are: for other programs.

train is the manifest of augment, with balance's repeats and weights and with variants; train_dev and dev are split's.
test's rows are read by those alone who note that they did.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from pipeline import catalogue
from pipeline.data.dataset import Variants
from pipeline.errors import DataError, FinalEvaluationError, MissingInputError, ParamsError, listing
from pipeline.manifest import BALANCED, SEEN_SPLITS, SPLIT, TEST, TRAIN, check_manifest
from pipeline.names import shown
from pipeline.problem.label_sets import all_names
from pipeline.problem.params import Problem, Regression
from pipeline.problem.problem import AnyProblem, is_multi_label, name_of_quantity
from pipeline.problem.quantities import Quantity
from pipeline.stages.augment.params import AugmentParams
from pipeline.store.artifacts import Artifact
from pipeline.store.reading import check_regular, maker
from pipeline.store.shards import ShardReader
from pipeline.yaml_values import MAX_CHARACTERS, yaml_values

S = TypeVar("S")
TEST_IS_CLOSED = (
    "the test set is for the last measurement: `dvc repro final/dvc.yaml` evaluates a model on it, and "
    "`pipeline export DIR --test` hands it out; both are noted as test evaluations"
)


def read_manifest(split: str = TRAIN, folder: str | Path = ".") -> pd.DataFrame:
    """The rows of a split, as the last run left them: pipeline/manifest.py has the columns.

    Args:
        split: train (balanced, with variants), train_dev or dev.
        folder: of the project.

    Raises:
        ParamsError: there is no such split.
        MissingInputError: no run has made it yet.
        DataError: train is of another run than the other splits.
        FinalEvaluationError: it is test.
    """
    if split == TEST:
        raise FinalEvaluationError(TEST_IS_CLOSED)
    if split not in SEEN_SPLITS:
        raise ParamsError(f"there is no split {shown(str(split))}: name one of {', '.join(SEEN_SPLITS)}")
    return _rows(Path(folder).expanduser(), split)


def read_rows_of_test(folder: str | Path = ".") -> pd.DataFrame:
    """The rows of test, for those who note it in the ledger."""
    return _as_balanced(check_manifest(_read(catalogue.SPLIT_TEST, Path(folder)), SPLIT))


def classes_of(train: pd.DataFrame, problem: Problem | None = None) -> tuple[str, ...]:
    """The classes in the order of their numbers: those of train, sorted, as training has them; or the names of labels.

    Args:
        problem: what says that an image may have several labels, or has a number: then the name of what is measured.
    """
    if isinstance(problem, Regression):
        return Quantity((name_of_quantity(problem),))
    texts = sorted(map(str, train["label"].unique()))
    return all_names(texts) if is_multi_label(problem) else tuple(texts)


def problem_of(folder: str | Path = ".") -> Problem | None:
    """The problem that params.yaml in a folder names; None where there is no such file."""
    if not (Path(folder) / "params.yaml").is_file():
        return None
    found: Problem = _section(Path(folder) / "params.yaml", "problem", TypeAdapter(AnyProblem).validate_python)
    return found


def _section(path: Path, name: str, check: Callable[[Any], S]) -> S:
    """A section of params.yaml.

    Raises:
        MissingInputError, ParamsError: the file is not there, or the section cannot be used.
    """
    check_regular(path)
    try:
        with path.open(encoding="utf-8") as file:
            values = yaml_values(file.read(MAX_CHARACTERS + 1))
        return check(values[name] if isinstance(values, Mapping) else values)
    except FileNotFoundError as error:
        raise MissingInputError(f"{path} is missing: it says how variants are made") from error
    except (OSError, UnicodeDecodeError, KeyError, ValidationError, ValueError) as error:
        raise ParamsError(f"{path} cannot be used: run `pipeline params` there, which says why") from error


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of a project's rows are.

    variants_are_stored: whether rows with a copy number above 0 point at variants; else they are made online.
    """

    images: ShardReader
    variants_are_stored: bool


def pictures_of_project(train: pd.DataFrame, folder: str | Path = ".") -> Pictures:
    """The pictures that the rows of the project in a folder point at."""
    # Absolute, so that a process that changes its folder, or works in another one, finds them.
    originals, copies = ((Path(folder) / place.path).resolve() for place in (catalogue.ORIGINALS, catalogue.COPIES))
    made = {path.stem for path in copies.glob("*.arrow")}
    used = train.loc[train["copy"] > 0, "shard"].astype(str).unique()
    return Pictures(ShardReader(originals, copies), bool(set(used) & made))


def online_variants_of(folder: str | Path = ".") -> Variants | None:
    """What makes the variants of training, by params.yaml; None: augment materialises them.

    Raises:
        MissingInputError, ParamsError: params.yaml is not there, or its section `augment` cannot be used.
    """
    params = _section(Path(folder) / "params.yaml", "augment", AugmentParams.model_validate)
    if params.mode != "online":
        return None
    # albumentations takes a second to import, and only online mode needs it.
    from pipeline.transforms.online import online_variants

    return online_variants(params.transforms, params.seed)


def _rows(folder: Path, split: str) -> pd.DataFrame:
    others = check_manifest(_read(catalogue.SPLIT, folder), SPLIT)
    if split != TRAIN:
        return _as_balanced(others[others["split"] == split].reset_index(drop=True))
    train = check_manifest(_read(catalogue.AUGMENTED, folder), BALANCED, unique=("id", "copy"))
    strangers = sorted(set(train["id"]) - set(others.loc[others["split"] == TRAIN, "id"]))
    if strangers:
        raise DataError(
            f"{catalogue.AUGMENTED.path} is of another run than {catalogue.SPLIT.path}: {len(strangers)} of its images "
            f"are not in train there ({listing(strangers, 3)}): run `dvc repro augment`"
        )
    return train


def _read(artifact: Artifact, folder: Path) -> pd.DataFrame:
    place = folder / artifact.path
    if folder != Path() and not place.exists():
        raise MissingInputError(f"{place} is missing: run `{maker(Path(artifact.path))}` in {folder}")
    found: pd.DataFrame = artifact.read(place)
    return found


def _as_balanced(rows: pd.DataFrame) -> pd.DataFrame:
    """With the columns of train: an image counts once."""
    return rows.assign(copy=np.zeros(len(rows), np.int32), weight=np.ones(len(rows), np.float32))
