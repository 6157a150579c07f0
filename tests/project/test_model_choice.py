"""The model that a new project begins with: pretrained for photos, from scratch for small images."""

from typing import Any

import pytest

from pipeline.errors import ParamsError
from pipeline.project.model_choice import MODELS, max_side, model_choice
from pipeline.project.params_template import template_text, with_choices
from tests.examples import params


def chosen(size: int, wanted: str | None = None) -> dict[str, Any]:
    return {choice.place: choice.value for choice in model_choice(size, 600, wanted).choices}


@pytest.mark.parametrize(
    ("size", "name"), [(16, "cnn"), (64, "cnn"), (96, "efficientnet_lite0"), (160, "efficientnet_lite0")]
)
def test_photos_begin_with_a_pretrained_model(size: int, name: str) -> None:
    assert chosen(size)["train.model"]["name"] == name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [16, 96, 224])
def test_what_is_wanted_is_taken_and_valid(model: str, size: int) -> None:
    found = params(**{"ingest.size": size, **chosen(size, model)})
    assert found.train.model.name == model
    assert with_choices(template_text(), model_choice(size, 600, model).choices)


@pytest.mark.parametrize(("size", "side"), [(32, 160), (96, 160), (160, 160), (200, 200), (224, 224), (400, 224)])
def test_a_pretrained_model_sees_images_about_as_large_as_it_knows_them(size: int, side: int) -> None:
    assert chosen(size, "efficientnet_lite0")["train.model"]["input"] == side


def test_photos_are_kept_larger_for_a_pretrained_model() -> None:
    assert max_side(None) == max_side("efficientnet_lite0") == 160
    assert max_side("cnn") == 96


def test_a_file_of_14_megabytes_is_within_the_limit() -> None:
    assert model_choice(160, 600).max_megabytes == 20


def test_a_model_that_needs_a_file_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"^--model mobilenet_v2: there are cnn, .*efficientnet_lite0"):
        chosen(96, "mobilenet_v2")
