"""params.yaml as types: one class per section, closed, frozen, without defaults.

DVC sees only what stands in params.yaml, so nothing here has a default: a value that shapes a
result is always written down. `load_params` reports every broken rule at once.
"""

from pipeline.params.augment import MOST_COPIES, AugmentParams, Transform
from pipeline.params.balance import (
    AnyTarget,
    BalanceParams,
    ClassWeights,
    DownTarget,
    EditedNearestNeighbours,
    Majority,
    Median,
    Minority,
    NearMiss,
    NoBalance,
    OverAndUndersample,
    Oversample,
    Ratio,
    RowCount,
    TomekLinks,
    Undersample,
    UpTarget,
)
from pipeline.params.evaluate import Bounds, DiagnoseParams, EvaluateParams, Limit, Metric
from pipeline.params.reading import PARAMS_FILE, Params, check_params, load_params
from pipeline.params.section import Count, OpenShare, Section, Seed, Share
from pipeline.params.sources import (
    CurateParams,
    IngestParams,
    JpegEncoding,
    PngEncoding,
    SampleParams,
    SourceName,
    SourceParams,
)
from pipeline.params.split import Folds, MatchingParams, ProductionCounts, ProductionShares, SplitParams
from pipeline.params.train import MOST_WIDTH, AdamW, Cnn, Sgd, TrainParams

__all__ = [
    "MOST_COPIES",
    "MOST_WIDTH",
    "PARAMS_FILE",
    "AdamW",
    "AnyTarget",
    "AugmentParams",
    "BalanceParams",
    "Bounds",
    "ClassWeights",
    "Cnn",
    "Count",
    "CurateParams",
    "DiagnoseParams",
    "DownTarget",
    "EditedNearestNeighbours",
    "EvaluateParams",
    "Folds",
    "IngestParams",
    "JpegEncoding",
    "Limit",
    "Majority",
    "MatchingParams",
    "Median",
    "Metric",
    "Minority",
    "NearMiss",
    "NoBalance",
    "OpenShare",
    "OverAndUndersample",
    "Oversample",
    "Params",
    "PngEncoding",
    "ProductionCounts",
    "ProductionShares",
    "Ratio",
    "RowCount",
    "SampleParams",
    "Section",
    "Seed",
    "Sgd",
    "Share",
    "SourceName",
    "SourceParams",
    "SplitParams",
    "TomekLinks",
    "TrainParams",
    "Transform",
    "Undersample",
    "UpTarget",
    "check_params",
    "load_params",
]
