"""Whether a pretrained network suits the images of a new project: tried on some of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.images.pixels import Pixels
from pipeline.project.choices import Overrides
from pipeline.project.init import plan
from pipeline.project.inspect_sources import Wanted
from pipeline.project.pretrained_trial import Trial, pretrained_trial
from pipeline.yaml_values import yaml_values

SIDE = 32


def stripes(number: int, random: np.random.Generator) -> Pixels:
    """Stripes of one of four directions, anywhere and of any width: nothing that stands at one place of a picture."""
    down, right = np.mgrid[:SIDE, :SIDE]
    along = (down, right, down + right, down - right)[number]
    wave = np.sin(along * random.uniform(0.8, 1.6) + random.uniform(0, 6))
    return painted(128 + 90 * wave, random)


def corners(number: int, random: np.random.Generator) -> Pixels:
    """One of four places is a little brighter: features that forget where something was cannot tell."""
    picture = np.full((SIDE, SIDE), 120.0)
    top, left = divmod(number, 2)
    picture[12 + 4 * top : 16 + 4 * top, 12 + 4 * left : 16 + 4 * left] += 60
    return painted(picture, random)


def painted(gray: "np.typing.NDArray[np.float64]", random: np.random.Generator) -> Pixels:
    noisy = gray[..., None] + random.normal(0, 12, (SIDE, SIDE, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def drawn(draw: Callable[[int, np.random.Generator], Pixels], count: int = 120) -> list[tuple[Pixels, str]]:
    random = np.random.default_rng(1)
    return [(draw(number % 4, random), f"class {number % 4}") for number in range(count)]


@pytest.mark.parametrize(("draw", "gains", "loses"), [(stripes, True, False), (corners, False, True)])
def test_the_better_features_are_told(
    draw: Callable[[int, np.random.Generator], Pixels], gains: bool, loses: bool
) -> None:
    trial = pretrained_trial([drawn(draw)])
    assert trial is not None
    assert (trial.gains, trial.loses, trial.images) == (gains, loses, 120), trial.words


def test_a_burst_is_recognised_by_nobody_who_did_not_see_it() -> None:
    """Pictures of noise in bursts of ten, each with a class by chance: a model that saw one of a burst knows all."""
    random = np.random.default_rng(2)
    bursts = [painted(random.uniform(0, 255, (SIDE, SIDE)), random) for _ in range(24)]
    pictures = [
        (painted(burst.mean(axis=2), random), f"class {number % 2}")
        for number, burst in enumerate(bursts)
        for _ in range(10)
    ]
    trial = pretrained_trial([pictures])
    assert trial is not None
    assert max(trial.features, trial.pixels) < 0.75, trial.words


@pytest.mark.parametrize("error", [0.0, 0.05])
def test_a_difference_within_chance_tells_nothing(error: float) -> None:
    for features, pixels in ((0.54, 0.5), (0.5, 0.54)):
        trial = Trial(300, features, pixels, error)
        assert not trial.gains
        assert not trial.loses


@pytest.mark.parametrize("pictures", [drawn(stripes, 99), [(one, "same") for one, _ in drawn(stripes)], []])
def test_too_few_images_or_classes_are_not_tried(pictures: list[tuple[Pixels, str]]) -> None:
    assert pretrained_trial([pictures]) is None


@pytest.mark.parametrize(("draw", "table"), [(stripes, True), (corners, False)])
def test_a_new_project_begins_with_what_suits_its_images(
    draw: Callable[[int, np.random.Generator], Pixels], table: bool, tmp_path: Path
) -> None:
    images = tmp_path / "phones"
    rows = []
    for number, (pixels, label) in enumerate(drawn(draw)):
        path = images / ("all" if table else label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        rows.append(f"{path.relative_to(images).as_posix()},{label}")
    (images / "labels.csv").write_text("\n".join(["path,label", *rows]))
    wanted = Wanted(["labels.csv"] if table else [], pictures=300)
    text = plan(tmp_path / "shop", [], [str(images)], wanted, Overrides()).files["params.yaml"]
    values = yaml_values(text)
    name = "efficientnet_lite0" if draw is stripes else "cnn"
    assert (values["train"]["model"]["name"], values["embed"]["backbone"] is None) == (name, draw is corners)
    assert ("on 120 of the images, pretrained features recognise" in " ".join(text.split())) == (draw is stripes)
    # Too small to find scenes by.
    assert values["curate"]["scenes"] == "ignore"
