"""Schemas of the JSON reports that the code reads again: the fields that must be there; there may be others."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter


class _Schema(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Verdict(_Schema):
    model: str
    accepted: bool
    broken: list[str]


class _Latency(_Schema):
    model: str
    machine: str
    threads: int
    latency_p95_ms: float


class _LabelsOfRole(_Schema):
    images: int
    label_issues: int
    wrong_share: float
    accuracy: float
    low: float
    high: float
    at_least: float


class _Labels(_LabelsOfRole):
    roles: dict[str, _LabelsOfRole]


class _LabelModel(_Schema):
    name: str
    why: str


class _LabelIssues(_Schema):
    model: _LabelModel
    dev: _Labels
    train: _Labels | None = None
    together: _Labels | None = None


class _NotChecked(_Schema):
    """Of labels that no model can check; `why` of the model says so."""

    model: _LabelModel
    checked: Literal[False]


class _Split(_Schema):
    images: int
    optimizing: float
    low: float | None
    high: float | None


class _Limit(_Schema):
    value: float
    held: bool


class _Evaluation(_Schema):
    accepted: bool
    limits: dict[str, _Limit]
    train: _Split
    train_dev: _Split
    dev: _Split


class _EnsembleMember(_Schema):
    member: str
    weight: float


class _Ensemble(_Schema):
    name: str
    kept: bool
    why: str
    members: list[_EnsembleMember]


VERDICT = TypeAdapter(_Verdict)
LATENCY = TypeAdapter(_Latency)
ENSEMBLE = TypeAdapter(_Ensemble)
EVALUATION = TypeAdapter(_Evaluation)
LABEL_ISSUES: TypeAdapter[Any] = TypeAdapter(_LabelIssues | _NotChecked)
