"""params.yaml as types: every broken rule is named at once, with its place, the rule and the value."""

import functools
import math
import operator
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.errors import ParamsError
from pipeline.project.params_file import check_params, load_params
from tests.examples import REPOSITORY, params_values

PHONE = {"role": "production", "path": "phone"}


def problems(values: dict[str, Any]) -> list[str]:
    """The lines of the error, without its head."""
    with pytest.raises(ParamsError) as caught:
        check_params(values)
    head, *lines = str(caught.value).split("\n  ")
    assert head == f"params breaks {len(lines)} rule{'s' if len(lines) > 1 else ''}:"
    return lines


def without(*places: str) -> dict[str, Any]:
    """The repository's params, some taken out."""
    values = params_values()
    for place in places:
        *parents, last = place.split(".")
        section = values
        for parent in parents:
            section = section[parent]
        del section[last]
    return values


def leaves(values: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places of all keys whose section is closed: names are no user's choice there."""
    if isinstance(values, dict):
        for key, value in values.items():
            if place == ("tune", "space"):
                # Whole places of params, with dots in them, as names.
                return
            if place not in {("sources",), ("evaluate", "satisficing")}:
                yield (*place, key)
            yield from leaves(value, (*place, key))


KEYS = [".".join(place) for place in leaves(params_values())]
TAGS = {
    "ingest.encoding.name",
    "augment.copies.name",
    "balance.strategy.name",
    "balance.strategy.target.name",
    "label_issues.model.name",
    "label_issues.model.otherwise.name",
    "label_issues.model.otherwise.features.name",
    "problem.name",
    "tune.method.name",
    "train.loss.name",
    "train.mixing.name",
    "train.model.name",
    "train.optimizer.name",
    "train.schedule.name",
    "train.unlabelled.name",
    "train.ensemble.name",
}


def test_the_repositorys_own_params_load() -> None:
    loaded = load_params(REPOSITORY / "params.yaml")
    assert loaded == check_params(params_values())
    assert {name: source.role for name, source in loaded.sources.items()} == {"web": "raw", "phone": "production"}


BROKEN_RULES = [
    (
        {"split.folds": {"count": 2, "dev": 0}, "split.frozen_from": "earlier"},
        "split: you cannot use folds and frozen_from together, because frozen images cannot move into and out of dev: "
        "set one of them to null",
    ),
    ({"ingest.size": "28"}, "ingest.size: input should be a valid integer, got '28'"),
    ({"ingest.size": True}, "ingest.size: input should be a valid integer, got True"),
    ({"ingest.size": 28.0}, "ingest.size: input should be a valid integer, got 28.0"),
    ({"ingest.size": 7}, "ingest.size: input should be greater than or equal to 8, got 7"),
    ({"ingest.fit": "zoom"}, "ingest.fit: input should be 'crop', 'pad' or 'stretch', got 'zoom'"),
    ({"train.seed": 2**32}, f"train.seed: input should be less than 4294967296, got {2**32}"),
    ({"train.learning_rate": True}, "train.learning_rate: input should be a valid number, got True"),
    ({"train.learning_rate": math.nan}, "train.learning_rate: input should be a finite number, got nan"),
    ({"train.learning_rate": math.inf}, "train.learning_rate: input should be a finite number, got inf"),
    ({"train.learning_rate": 0}, "train.learning_rate: input should be greater than 0, got 0"),
    ({"train.model.batch_norm": "yes"}, "train.model.batch_norm: input should be a valid boolean, got 'yes'"),
    ({"train.model.dropout.head": 1.0}, "train.model.dropout.head: input should be less than 1, got 1.0"),
    ({"train.optimizer": {"name": "sgd", "momentum": 0.0, "nesterov": True}},
     "train.optimizer: nesterov needs momentum above 0: set momentum, for example to 0.9, or set nesterov to false"),
    ({"train.warmup_epochs": 12.0},
     "train: warmup_epochs must be below epochs, got 12 and 12: the full learning rate would never be reached"),
    ({"train.warmup_epochs": 4.0, "train.schedule": {"name": "step", "every": 8, "factor": 0.1}},
     "train: schedule.every must be below the 8 epochs after warm-up, got 8: "
     "the schedule would never take its first step"),
    ({"train.schedule": {"name": "sgdr", "first": 12, "factor": 2, "final": 0.0}},
     "train: schedule.first must be below the 12 epochs after warm-up, got 12: "
     "the schedule would never take its first step"),
    ({"label_issues.second": params_values()["label_issues"]["model"]},
     "label_issues: second is the same as model, so it would disagree with the same labels: choose another "
     "model, or null"),
    ({"train.class_weights": {"cat": 0}}, "train.class_weights.cat: input should be greater than 0, got 0"),
    ({"train.clip_norm": 0}, "train.clip_norm: input should be greater than 0, got 0"),
    ({"train.precision": 16}, "train.precision: input should be 'float32', 'bfloat16' or 'float16', got 16"),
    ({"split.production": {"train": 0.5, "dev": 0.3, "test": 0.3}},
     "split.production: train + dev + test must sum to 1, got 1.1"),
    ({"ingest.encoding": {"name": "jpeg", "quality": 101}},
     "ingest.encoding.quality: input should be less than or equal to 100, got 101"),
    ({"sources.Web 1": {"role": "raw", "path": "x"}},
     "sources.Web 1: string should match pattern '^[a-z][a-z0-9_-]{0,31}$', got 'Web 1'"),
    ({"sources.web.path": ""}, "sources.web.path: string should have at least 1 character, got ''"),
    ({"sources": {"web": {"role": "raw", "path": "web"}}},
     "sources: no source has the role production, but dev and test come from production images only: add a "
     "production source"),
    ({"sources": {"phone": PHONE, "web": {"role": "raw", "path": "./phone/"}}},
     "sources: the path ./phone is inside phone, the path of another source, so each image would count twice"),
    ({"balance.production_weight": 0.5},
     "balance.production_weight: input should be greater than or equal to 1, got 0.5"),
    ({"balance.strategy": {"name": "both", "target": {"name": "count", "rows": 0}}},
     "balance.strategy.target.rows: input should be greater than or equal to 1, got 0"),
    ({"balance.strategy": {"name": "both", "target": {"name": "ratio", "value": 1.5}}},
     "balance.strategy.target.value: input should be less than or equal to 1, got 1.5"),
    ({"balance.strategy": {"name": "weights", "target": {"name": "median"}}},
     "balance.strategy.target: no such param; the keys here are name"),
    ({"balance.strategy": {"name": "near_miss", "version": 4, "neighbours": 3, "target": {"name": "minority"}}},
     "balance.strategy.version: input should be 1, 2 or 3, got 4"),
    ({"augment.transforms": []},
     "augment: copies without transforms would only repeat images: name a transform, or set copies to 0"),
    ({"augment.transforms": [{"name": ""}]},
     "augment.transforms.0.name: string should have at least 1 character, got ''"),
    ({"augment.transforms": [{"preset": "foto"}]},
     "augment.transforms.0.preset: input should be 'light', 'photo', 'document', 'digits' or 'strong', got 'foto'"),
    ({"augment.transforms": [{"name": "Blur"}, {"preset": "photo", "p": 0.5}]},
     "augment.transforms.1.p: no such param; the keys here are name, preset"),
    ({"augment.transforms": [], "augment.copies": {"name": "up_to", "rows": 9}},
     "augment: copies without transforms would only repeat images: name a transform, or set copies to 0"),
    ({"augment.copies": {"name": "per_image", "count": 101}},
     "augment.copies.count: input should be less than or equal to 100, got 101"),
    ({"augment.copies": {"name": "per_class", "counts": {"cat": -1}, "otherwise": 0}},
     "augment.copies.counts.cat: input should be greater than or equal to 0, got -1"),
    ({"augment.copies": {"name": "per_class", "counts": {None: 1}, "otherwise": 0}},
     "augment.copies.counts: must be text, got None"),
    ({"augment.max_failed": 1.5}, "augment.max_failed: input should be less than or equal to 1, got 1.5"),
    ({"evaluate.satisficing.size": {"metric": "model_megabytes", "min": None, "max": None}},
     "evaluate.satisficing.size: min and max are both null: set at least one of them to a number"),
    ({"evaluate.satisficing.size": {"metric": "model_megabytes", "min": 0.9, "max": 0.1}},
     "evaluate.satisficing.size: min must not be above max, got 0.9 and 0.1"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "line"), BROKEN_RULES)
def test_a_wrong_value_is_named_with_its_place_and_rule(changes: dict[str, Any], line: str) -> None:
    assert problems(params_values(**changes)) == [line]


def test_all_broken_rules_stand_in_one_message() -> None:
    values = without("sample.seed", "diagnose")
    values["ingest"] |= {"size": "28", "fit": "zoom"}
    values["split"]["production"]["dev"] = 0.9
    values["train"] |= {"epoch": 3, "optimizer": {"name": "sgd", "momentum": 1.0, "nesterov": 1}}
    assert problems(values) == [
        "sample.seed: is missing and has no default: add it",
        "ingest.size: input should be a valid integer, got '28'",
        "ingest.fit: input should be 'crop', 'pad' or 'stretch', got 'zoom'",
        "split.production: train + dev + test must sum to 1, got 1.65",
        "train.optimizer.momentum: input should be less than 1, got 1.0",
        "train.optimizer.nesterov: input should be a valid boolean, got 1",
        "train.epoch: no such param, did you mean epochs?",
        "diagnose: is missing and has no default: add it",
    ]


@pytest.mark.parametrize("place", [key for key in KEYS if key not in TAGS and key != "sample"])
def test_a_missing_key_is_named(place: str) -> None:
    assert problems(without(place)) == [f"{place}: is missing and has no default: add it"]


def test_a_project_of_ones_own_has_no_sample() -> None:
    assert check_params(without("sample")).sample is None


@pytest.mark.parametrize("place", [key for key in KEYS if key not in TAGS])
def test_a_misspelt_key_is_answered_with_the_right_one(place: str) -> None:
    parents, key = place.rpartition(".")[::2]
    typo = f"{parents}.{key}{key[-1]}".removeprefix(".")
    values = without(place)
    section = values
    for parent in filter(None, parents.split(".")):
        section = section[parent]
    section[key + key[-1]] = params_values()
    assert f"{typo}: no such param, did you mean {key}?" in problems(values)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("ingest.encoding.quality", "ingest.encoding.quality: no such param; the keys here are name"),
        (
            "sources.web.zzz",
            "sources.web.zzz: no such param; the keys here are "
            "exclude, include, inside, labels, layout, path, role, value_range",
        ),
        ("train.schedule.momentum", "train.schedule.momentum: no such param; the keys here are name"),
    ],
)
def test_a_key_like_no_other_is_answered_with_all_that_may_stand_there(place: str, line: str) -> None:
    assert problems(params_values(**{place: 1})) == [line]


@pytest.mark.parametrize("tagged", sorted(tag.removesuffix(".name") for tag in TAGS))
def test_a_choice_that_does_not_exist_is_named_with_those_that_do(tagged: str) -> None:
    [line] = problems(params_values(**{tagged: {"name": "best"}}))
    assert line.startswith(f"{tagged}: ")
    assert "'best'" in line
    chosen = functools.reduce(operator.getitem, tagged.split("."), params_values())
    assert f"'{chosen['name']}'" in line
