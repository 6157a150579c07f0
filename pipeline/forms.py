"""The required fields of the JSON reports that the code reads again; other fields may be there too."""

from pydantic import BaseModel, ConfigDict, TypeAdapter


class _Form(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Verdict(_Form):
    model: str
    accepted: bool
    broken: list[str]


class _Latency(_Form):
    model: str
    machine: str
    threads: int
    latency_p95_ms: float


class _LabelsOfRole(_Form):
    images: int
    label_issues: int
    wrong_share: float
    accuracy: float
    low: float
    high: float
    at_least: float


class _Labels(_LabelsOfRole):
    roles: dict[str, _LabelsOfRole]


class _LabelModel(_Form):
    name: str
    why: str


class _LabelIssues(_Form):
    model: _LabelModel
    dev: _Labels | None = None
    train: _Labels | None = None
    together: _Labels | None = None


class _Split(_Form):
    images: int
    optimizing: float
    low: float | None
    high: float | None


class _Limit(_Form):
    value: float
    held: bool


class _Evaluation(_Form):
    accepted: bool
    limits: dict[str, _Limit]
    train: _Split
    train_dev: _Split
    dev: _Split


VERDICT = TypeAdapter(_Verdict)
LATENCY = TypeAdapter(_Latency)
EVALUATION = TypeAdapter(_Evaluation)
LABEL_ISSUES = TypeAdapter(_LabelIssues)
