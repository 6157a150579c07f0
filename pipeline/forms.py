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
    most_confident: int
    disagreeing: float
    half_confident: int
    half_disagreeing: float


class _Labels(_LabelsOfRole):
    roles: dict[str, _LabelsOfRole]


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
LABELS_OF_SPLITS = TypeAdapter(dict[str, _Labels])
