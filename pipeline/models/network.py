"""What a network is: its params, its layers from pixels to logits, and what advice needs to know of it.

The layers end with dropout, if any, and then the output layer, so that no logit is ever dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from pipeline.registry import Choice
from pipeline.section import Section

if TYPE_CHECKING:
    from torch import nn

P = TypeVar("P", bound="Network")

DropoutRate = Annotated[float, Field(ge=0, lt=1)]
# A file and its SHA-256 -> its bytes; PipelineError if it is not that file.
ReadFile = Callable[[str, str], bytes]


class Network(Section):
    """Params of any network: a model that is fitted epoch by epoch."""

    name: str

    @property
    def of_train(self) -> bool:
        """Whether pixels are normalised by the mean and standard deviation of the training images."""
        return True


class Pretrained(Network):
    """Params of a network that starts from trained weights, and normalises pixels as those were trained with."""

    @property
    def of_train(self) -> bool:
        """False: pixels are normalised as the weights need."""
        return False

    @property
    def frozen_numbers(self) -> int | None:
        """The number of values per picture that frozen layers return; None if no layer is frozen."""
        raise NotImplementedError


class PretrainedFromFile(Pretrained):
    """Params of one whose weights are in a file.

    weights: the file. sha256: of that file; it is not looked into before it fits.
    """

    weights: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class NetworkRow(Choice[P]):
    """A network.

    layers: (params, classes, pixels per side) -> from normalised pixels (n, 3, size, size) to logits (n, classes); of a
        pretrained one from pixels of 0 to 255. It raises ParamsError where a picture of this size is too small.
    wider: a width -> the next one that should tell; None: it has no width.
    instead: the params that change for an architecture that can learn more; None: there is none.
    work: params as plain values -> what a picture's pass costs, about, beside that of other params of `cnn`, `resnet`
        and `mlp`; all pretrained ones cost alike.
    load: of a pretrained one: (params, network, how a file is read) -> puts its weights in, or raises PipelineError.
    """

    layers: Callable[[P, int, int], "list[nn.Module]"]
    wider: Callable[[int], int] | None = None
    instead: Mapping[str, Any] | None = None
    work: Callable[[Mapping[str, Any]], float] = lambda model: 1.0
    load: "Callable[[P, nn.Module, ReadFile], None] | None" = None
