"""Params of the stage embed: the network whose features stand for an image."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Section

Side = Annotated[int, Field(ge=32, le=512)]


class EfficientNetLite0Backbone(Section):
    """EfficientNet-Lite0, trained on ImageNet (Tan and Le, 2019); 1,280 numbers per image.

    side: pixels per side that images are scaled to; the network was trained with 224.
    """

    name: Literal["efficientnet_lite0"]
    side: Side


class MobileNetV2Backbone(Section):
    """MobileNetV2 (Sandler et al., 2018) with weights of your own; 1,280 numbers per image.

    weights: a file of torchvision's names: its .pth, or the same as .safetensors.
    sha256: of that file; it is not looked into before it fits.
    side: pixels per side that images are scaled to.
    """

    name: Literal["mobilenet_v2"]
    weights: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    side: Side


Backbone = Annotated[EfficientNetLite0Backbone | MobileNetV2Backbone, Field(discriminator="name")]


class EmbedParams(Section):
    """Which network embeds images; null: none does, and what rests on embeddings does without."""

    backbone: Backbone | None
