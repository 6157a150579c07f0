"""Model files that are nearly right, as hypothesis draws them: flipped bytes, and headers that claim what is not so."""

import contextlib
import json

import numpy as np
import torch
from hypothesis import strategies as st
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from pipeline.models.building import build_model
from pipeline.models.files import TrainedModel, save_model
from pipeline.models.network import Network
from tests.examples import params

SIZE, CLASSES = 16, ("apple", "fig", "pear")
SCALARS = st.one_of(
    # Of more digits than Python writes down.
    st.integers(100, 5000).map(lambda digits: -(10**digits)),
    st.none(), st.booleans(), st.integers(), st.integers(-3, 1000), st.floats(), st.floats(0, 1),
    st.text(max_size=20), st.sampled_from(["1e999", "", "\x1b[31m", "a" * 5000, 2**70]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


def model_file() -> bytes:
    """A small network's."""
    chosen = params(**{"ingest.size": SIZE, "train.model.width": 2})
    assert isinstance(chosen.train.model, Network)
    network = build_model(chosen.train.model, len(CLASSES), SIZE, np.full(3, 0.4), np.full(3, 0.1), seed=1)
    return save_model(TrainedModel(network.eval(), CLASSES, chosen.ingest, chosen.train.model))


SAVED = model_file()
HEADER = 8 + int.from_bytes(SAVED[:8], "little")
ABOUT = json.loads(json.loads(SAVED[8:HEADER])["__metadata__"]["pipeline"])
PLAIN = save_tensors(load_tensors(SAVED), metadata={"pipeline": json.dumps(ABOUT)})
MODELS = [
    {"name": "majority_class"},
    {"name": "nearest_centroid", "features": {"name": "pixels", "side": 64}},
    {"name": "logistic_regression", "features": {"name": "colours", "bins": 2}, "c": 1.0},
    {"name": "random_forest", "features": {"name": "pixels", "side": 1}, "n_estimators": 2, "min_samples_leaf": 1},
    {
        "name": "gradient_boosting",
        "features": {"name": "pixels", "side": 1},
        "max_iter": 2,
        "max_leaf_nodes": 2,
        "learning_rate": 0.1,
    },
    {
        "name": "mlp",
        "depth": 8,
        "width": 4096,
        "activation": "relu",
        "batch_norm": True,
        "dropout": ABOUT["model"]["dropout"],
    },
]
TENSORS = ["logits", "centroids", "variance", "weights", "intercepts", "roots", "feature", "threshold", "left", "right",
           "values", "of_class", "start", "depth"]  # fmt: skip
FRAMINGS = [
    {"name": "ranked", "output": "cumulative"},
    {"name": "ranked", "output": "softmax"},
    {"name": "nested", "output": "cascade", "tree": {"fruit": {"apple": None, "fig": None}, "pear": None}},
    {"name": "nested", "output": "softmax", "tree": {"fruit": ["apple", "fig", "pear"], "x": ["y", "z"]}},
]
HALVES = {"chosen_on": "dev", "criterion": "f1", "values": [0.5] * 3}
THRESHOLDS = [HALVES, *({**HALVES, "values": values} for values in ([0.5, 0.0, 2], [], "x"))]
# Of any members, of each other too, in any number.
ENSEMBLES = st.fixed_dictionaries(
    {
        "name": st.just("ensemble"),
        "members": st.lists(st.sampled_from([*MODELS, {"name": "factory", "made_by": "x"}]) | VALUES, max_size=4)
        | st.sampled_from([[ABOUT["model"]] * 1000, [ABOUT["model"]] * 100_000, {"0": ABOUT["model"]}]),
        "stems": st.lists(st.integers(-1, 4), max_size=4) | VALUES,
        "pool": st.sampled_from(["average", "log_linear"]) | VALUES,
    }
)
KINDS = [torch.float32, torch.float64, torch.int32, torch.int64, torch.bool, torch.float16, torch.uint8]


@st.composite
def flipped_models(draw: st.DrawFn) -> bytes:
    """The file with bytes changed, cut or put in."""
    whole = draw(st.sampled_from([SAVED, PLAIN, PLAIN]))
    data = bytearray(whole[: draw(st.integers(0, len(whole)))] if draw(st.integers(0, 4)) == 0 else whole)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, HEADER) | st.integers(0, len(whole)))
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@st.composite
def claiming_models(draw: st.DrawFn) -> bytes:
    """Files whose header and tensors say anything, whole otherwise."""
    about = {**ABOUT}
    if draw(st.booleans()):
        about["classes"] = draw(
            VALUES | st.lists(st.text(max_size=5), max_size=5) | st.just([str(n) for n in range(20_000)])
        )
    if draw(st.booleans()):
        about["model"] = draw(st.sampled_from(MODELS) | VALUES)
    if draw(st.integers(0, 3)) == 0:
        about["ingest"] = draw(VALUES)
    if draw(st.integers(0, 3)) == 0:
        about["framing"] = draw(st.sampled_from(FRAMINGS) | VALUES)
    if draw(st.integers(0, 3)) == 0:
        about["thresholds"] = draw(st.sampled_from(THRESHOLDS) | VALUES)
    if draw(st.integers(0, 3)) == 0:
        about["model"] = draw(ENSEMBLES)
    sizes = st.sampled_from([0, 1, 2, 3, 12, 64, 12288])
    tensors = dict(load_tensors(SAVED)) if draw(st.booleans()) else {}
    for name in draw(st.lists(st.sampled_from([f"1.{each}" for each in TENSORS] + sorted(tensors)), unique=True)):
        shape = draw(st.lists(sizes, max_size=3))
        if np.prod(shape, dtype=np.int64) <= 1_000_000:
            tensors[name] = torch.full(shape, draw(st.sampled_from([0, 1, 2, 100])), dtype=draw(st.sampled_from(KINDS)))
    told = draw(st.text(max_size=30) | st.just("[" * 100_000))
    if draw(st.integers(0, 9)):
        with contextlib.suppress(ValueError):  # a number of more digits than Python writes down
            told = json.dumps(about)
    return save_tensors(tensors, metadata={"pipeline": told.encode(errors="replace").decode()})
