"""The header of a model file: what it says of the network, and how the network is built from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from pipeline.errors import DataError, listing
from pipeline.models.baseline_layers import check_tables
from pipeline.models.baselines import Baseline, baseline_of
from pipeline.models.building import build_model
from pipeline.models.ensembles import FACTS, POOLS, Average, EnsembleNetwork, EnsembleOf, LogLinear
from pipeline.models.layers import split_frozen
from pipeline.models.network import PretrainedFromFile
from pipeline.models.networks import Factory
from pipeline.models.own import digest_of_factory
from pipeline.models.params import AnyModel, Model
from pipeline.problem.framing import Framing
from pipeline.renamed import model_params

MODEL_PARAMS: TypeAdapter[Model] = TypeAdapter(AnyModel)
# A network that a function of a project built, and the key of that function's hash in the header.
FACTORY, MADE_BY = "factory", "made_by"
# Several networks as one.
ENSEMBLE = "ensemble"
# Far more than anybody waits for; a header may claim any number.
MAX_MEMBERS = 1000

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Shape:
    """What a network takes and gives: how many classes, how many pixels per side, and how the classes relate."""

    classes: int
    size: int
    framing: Framing


def header_of(params: Model | EnsembleOf | None, network: nn.Module) -> dict[str, Any]:
    """Params for the header; of a file of weights its name alone, because folders differ by machine.

    Of code of a project there is only a hash: a header names nothing to be run.
    """
    if isinstance(params, EnsembleOf):
        members = [_header_of_one(member) for member in params.members]
        return {"name": ENSEMBLE, "members": members, "stems": network.stem_of, "pool": params.pool}
    return _header_of_one(params)


def _header_of_one(params: Model | None) -> dict[str, Any]:
    if params is None:
        return {"name": FACTORY}
    if isinstance(params, Factory):
        return {"name": FACTORY, MADE_BY: digest_of_factory(params)}
    values = params.model_dump()
    if isinstance(params, PretrainedFromFile):
        values["weights"] = params.weights.replace("\\", "/").rpartition("/")[2] or params.weights
    return values


def has_own_code(about: Mapping[str, Any]) -> bool:
    """Whether a header's model is a network that a function of a project built, or has such a member."""
    models = about["members"] if about["name"] == ENSEMBLE else [about]
    return any(model["name"] == FACTORY for model in models)


def params_of(about: Mapping[str, Any], own: Model | None) -> Model | EnsembleOf:
    """The params that a header stands for.

    Args:
        own: train.model of the project.

    Raises:
        DataError: a function of a project built a network, and `own` names another one or none.
        ValueError, KeyError, TypeError: it is no such header.
    """
    if about["name"] != ENSEMBLE:
        return _params_of_one(about, own)
    if not 1 <= len(about["members"]) <= MAX_MEMBERS:
        raise ValueError(f"it names {len(about['members'])} members")
    if about["pool"] not in POOLS:
        raise ValueError("it combines its members in a way that is not known")
    return EnsembleOf(tuple(_params_of_one(member, own) for member in about["members"]), about["pool"])


def _params_of_one(about: Mapping[str, Any], own: Model | None) -> Model:
    if about["name"] != FACTORY:
        return MODEL_PARAMS.validate_python(model_params(dict(about)))
    if not isinstance(own, Factory):
        raise DataError(
            "a function of a project built this network, and no model file names code to be run: use it in the folder "
            "of its project, whose params.yaml has the function in train.model; for elsewhere, `pipeline export-model`"
        )
    if str(about[MADE_BY]) != digest_of_factory(own):
        raise DataError(
            f"this network was built by other code, or with other arguments, than {own.factory} of train.model now: "
            "restore both with Git, or run `dvc repro train`"
        )
    return own


def network_of(params: Model | EnsembleOf, about: Mapping[str, Any], shape: Shape, tensors: Tensors) -> nn.Module:
    """The network of params with these tensors.

    Raises:
        ValueError, TypeError, RuntimeError: the tensors are not those of such a network.
    """
    if isinstance(params, EnsembleOf):
        return _ensemble(params, about["stems"], shape, tensors)
    if isinstance(params, Baseline):
        own = {name: tensor for name, tensor in tensors.items() if not name.startswith("0.")}
        network = _baseline(params, shape.classes, {name.removeprefix("1."): tensor for name, tensor in own.items()})
        if len(own) < len(tensors):
            # Its features have weights of their own.
            check_tensors(network.state_dict(), tensors)
            network.load_state_dict(tensors)
        return network
    _check_claim(params, shape, tensors)
    network = _fresh(params, shape)
    check_tensors(network.state_dict(), tensors)
    network.load_state_dict(tensors)
    return network


def _ensemble(params: EnsembleOf, stem_of: Any, shape: Shape, tensors: Tensors) -> EnsembleNetwork:
    _check_stems(stem_of, len(params.members))
    stems: dict[int, nn.Module] = {}
    heads = []
    for number, member in enumerate(params.members):
        if isinstance(member, Baseline):
            # Of its layers the classifier alone has tensors in the head, and it is the last one.
            own = {
                name.split(".", 3)[3]: tensor for name, tensor in tensors.items() if name.startswith(f"heads.{number}.")
            }
            network = _baseline(member, shape.classes, own)
        else:
            within = (f"stems.{stem_of[number]}.", f"heads.{number}.")
            _check_claim(member, shape, tensors, within)
            network = _fresh(member, shape)
        stem, head = split_frozen(network)
        stems.setdefault(stem_of[number], stem)
        heads.append(head)
    network = EnsembleNetwork(list(stems.values()), heads, stem_of, _pool(params, shape.classes, tensors))
    check_tensors(network.state_dict(), tensors)
    network.load_state_dict(tensors)
    return network


def _check_stems(stem_of: Any, members: int) -> None:
    """Raise ValueError unless each member has a stem, numbered in the order in which they are met first."""
    if not isinstance(stem_of, list) or len(stem_of) != members or not all(type(stem) is int for stem in stem_of):
        raise ValueError("its stems are not those of its members")
    if any(stem > max(stem_of[:place], default=-1) + 1 or stem < 0 for place, stem in enumerate(stem_of)):
        raise ValueError("its stems are not numbered in order")


def _pool(params: EnsembleOf, classes: int, tensors: Tensors) -> nn.Module:
    """A pool of the shapes that members and classes ask for."""
    members = len(params.members)
    if params.pool == Average.name:
        return Average(torch.ones(members))
    with_facts = tensors["pool.weights"].ndim == 2 and tensors["pool.weights"].shape[1] > 1
    facts = FACTS if with_facts else 0
    return LogLinear(torch.ones(members, 1 + facts), torch.zeros(classes), torch.zeros(facts), torch.ones(facts))


def _baseline(params: Baseline, classes: int, tensors: Tensors) -> nn.Module:
    network = baseline_of(params, dict(tensors))
    check_tables(network, classes)
    return network


def _fresh(params: Model, shape: Shape) -> nn.Module:
    framed = shape.classes, shape.size, np.zeros(3), np.ones(3), 0, shape.framing
    return build_model(params, *framed)  # type: ignore[arg-type]


def _check_claim(params: Model, shape: Shape, tensors: Tensors, within: tuple[str, str] | None = None) -> None:
    """Raise ValueError unless the tensors that a network claims are there, before it takes any memory.

    What a header claims may be a thousand times as large as the file. Code of a project is trusted, and may not know
    of tensors without memory.

    Args:
        within: in front of the names of its stem's tensors, and of its head's, where it is a member.
    """
    if isinstance(params, Factory):
        return
    with torch.device("meta"):
        network = _fresh(params, shape)
    claimed = dict(network.state_dict())
    if within is not None:
        parts = zip(within, split_frozen(network), strict=True)
        claimed = {f"{above}{name}": tensor for above, part in parts for name, tensor in part.state_dict().items()}
    check_tensors(claimed, tensors)


def check_tensors(claimed: Tensors, tensors: Tensors) -> None:
    """Raise ValueError unless each of the claimed tensors is there, of its shape and type."""
    if wrong := [name for name, tensor in claimed.items() if name not in tensors or not _alike(tensor, tensors[name])]:
        raise ValueError(f"its tensors are not those of the network that it names: {listing(wrong, 3)}")


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype
