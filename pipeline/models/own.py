"""Networks of the project's own code: a function that `train.model` names builds them, and what it returns is checked.

A model file never says which function: whoever loads it has it from params.yaml, and the file's header only tells
whether it is the one that the model was made with.
"""

import hashlib
import importlib
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ParamsError, PipelineError
from pipeline.models.networks import Factory
from pipeline.versions.own_code import PACKAGE, file_of, own_version
from pipeline.yaml_values import shortened

# Pictures that a new network is tried with: batch norm needs two.
TRIED = 2


def digest_of_factory(params: Factory) -> str:
    """A hash of a function's code in the project, and of the params that it is called with."""
    values = json.dumps(params.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(f"{own_version(params.factory, _root())}\n{values}".encode()).hexdigest()


def network_of_factory(params: Factory, classes: int, size: int) -> nn.Module:
    """The network that the function returns, from pixels (n, 3, size, size) float32 to logits (n, classes).

    Raises:
        ParamsError: there is no such function, its arguments do not fit, it raises, or it returns something else.
    """
    function = _function(params)
    arguments = {"classes": classes, "size": size, **params.arguments}
    with_values = ", ".join(f"{key}={shortened(repr(value))}" for key, value in arguments.items())
    called = f"{params.factory} called as ({with_values})"
    _check_arguments(function, arguments, called)
    network = _tried(lambda: function(**arguments), called)
    if not isinstance(network, nn.Module):
        raise ParamsError(f"{called} returned {_kind(network)}: it must return a torch.nn.Module")
    if not any(parameter.requires_grad for parameter in network.parameters()) and not _is_lazy(network):
        raise ParamsError(
            f"{called} returned a network without trainable parameters: at least its output layer needs parameters "
            "with requires_grad"
        )
    _check_output(network, classes, size, called)
    return network


def _function(params: Factory) -> Callable[..., Any]:
    root = _root()
    own_version(params.factory, root)  # says what is missing before anything is run
    name, _, function = params.factory.partition(":")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    module = _tried(lambda: importlib.import_module(name), f"importing {name}")
    file, wanted = getattr(module, "__file__", None), file_of(name, root)
    if wanted is None or file is None or Path(file).resolve() != (root / wanted).resolve():
        raise ParamsError(
            f"train.model.factory {params.factory}: Python knows another module {name} ({file}): rename {wanted}"
        )
    found = getattr(module, function, None)
    if not callable(found):
        raise ParamsError(
            f"train.model.factory {params.factory}: {function} of {wanted} is {_kind(found)}, not a function"
        )
    return found  # type: ignore[no-any-return]


def _check_arguments(function: Callable[..., Any], arguments: dict[str, Any], called: str) -> None:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise ParamsError(
            f"{called}: {error}. The function is given classes, size and what train.model.arguments has, by name; it "
            f"takes {inspect.signature(function)}"
        ) from error
    except ValueError:
        return  # it does not say what it takes


def _check_output(network: nn.Module, classes: int, size: int, called: str) -> None:
    """Try it as predictions and training use it; its weights and statistics stay."""
    pixels = torch.zeros(TRIED, 3, size, size)
    for training in (False, True):
        network.train(training)
        # Not before a prediction, which gives lazy layers their shapes.
        kept = {
            key: value.clone() for key, value in network.state_dict().items() if isinstance(value, Tensor) and training
        }
        how = "in training" if training else "in a prediction"
        with torch.no_grad():
            found = _tried(lambda: network(pixels), f"the network of {called}, {how} with pixels {list(pixels.shape)},")
        network.load_state_dict(kept, strict=False)
        if not isinstance(found, Tensor) or not found.is_floating_point():
            raise ParamsError(
                f"the network of {called} gives {_kind(found)} {how}: it must give logits, a tensor of floats of shape "
                f"(images, {classes})"
            )
        if found.shape != (TRIED, classes):
            raise ParamsError(
                f"the network of {called} gives shape {list(found.shape)} {how} for {TRIED} images: it must give "
                f"logits of shape (images, classes), here {[TRIED, classes]}"
            )
    strange = [key for key, value in network.state_dict().items() if not isinstance(value, Tensor)]
    if strange:
        raise ParamsError(
            f"the network of {called} has state that is not a tensor ({strange[0]}), which a model file cannot hold: "
            "keep it in train.model.arguments"
        )


def _is_lazy(network: nn.Module) -> bool:
    return any(isinstance(each, nn.parameter.UninitializedParameter) for each in network.parameters())


def _tried(run: Callable[[], Any], what: str) -> Any:
    """What code of the project gives; what it raises becomes an error that says where."""
    try:
        return run()
    except PipelineError:
        raise
    except Exception as error:
        root = _root()
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _inside(frame.filename, root)]
        where = f" ({Path(frames[-1].filename).relative_to(root)}, line {frames[-1].lineno})" if frames else ""
        hint = "; install it in the environment of the pipeline" if isinstance(error, ModuleNotFoundError) else ""
        raise ParamsError(f"{what} raised {type(error).__name__}: {shortened(str(error))}{where}{hint}") from error


def _inside(file: str, root: Path) -> bool:
    path = Path(file)
    return path.is_relative_to(root) and not {"site-packages", PACKAGE} & {*path.relative_to(root).parts}


def _root() -> Path:
    """The project's folder: every command runs there."""
    return Path.cwd()


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of the type {type(value).__name__}"
