"""The statistics see how a picture was taken, and are finite for any picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.pixels import Pixels
from pipeline.stages.augment.capture import NAMES, capture_statistics
from pipeline.stages.augment.degradation import Strength, Strengths, degrade
from tests.scenes import scene


def means(**typical: float) -> dict[str, float]:
    """Means of the statistics of 40 scenes, degraded by so much."""
    chosen = Strengths(**{kind: Strength(value) for kind, value in typical.items()})
    seen = [capture_statistics(degrade(scene(number, 48), chosen, 1, str(number), 1)) for number in range(40)]
    return dict(zip(NAMES, np.mean(seen, axis=0).tolist(), strict=True))


PLAIN = means()


@pytest.mark.parametrize(
    ("kind", "strength", "name", "change"),
    [
        ("brightness", -0.5, "brightness", -0.1),
        ("contrast", -1.0, "contrast", -0.5),
        ("contrast", -1.0, "shadows", 0.05),
        ("brightness", -0.5, "lights", -0.1),
        ("red", 0.3, "red", 0.05),
        ("blue", -0.3, "blue", -0.05),
        ("saturation", -1.0, "colour", -0.05),
        ("resolution", 1.0, "higher_band", -0.5),
        ("blur", 0.7, "mid_band", -0.1),
        ("blur", 0.7, "high_band", -0.3),
        ("blur", 0.7, "highest_band", -0.5),
        ("noise", 0.05, "noise", 0.5),
        ("blur", 1.0, "edges", -0.2),
        ("jpeg", 80.0, "grid", 0.2),
        ("saturation", -1.0, "colour_edges", -0.3),
    ],
)
def test_each_statistic_follows_its_degradation(kind: str, strength: float, name: str, change: float) -> None:
    moved = means(**{kind: strength})[name] - PLAIN[name]
    assert moved * np.sign(change) > abs(change)


def test_contrast_alone_leaves_the_shape_of_the_spectrum() -> None:
    faint = means(contrast=-0.5)
    for band in ("mid_band", "high_band"):
        assert faint[band] == pytest.approx(PLAIN[band], abs=0.06)


@given(
    sides=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    kind=st.sampled_from(["noise", "black", "white", "one dot"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_statistics_of_any_picture_are_finite(sides: tuple[int, int], kind: str, seed: int) -> None:
    pixels = {
        "noise": np.random.default_rng(seed).integers(0, 256, (*sides, 3), dtype=np.uint8),
        "black": np.zeros((*sides, 3), np.uint8),
        "white": np.full((*sides, 3), 255, np.uint8),
        "one dot": np.zeros((*sides, 3), np.uint8),
    }[kind]
    if kind == "one dot":
        pixels[seed % sides[0], seed % sides[1]] = 255
    found = capture_statistics(pixels)
    assert found.shape == (len(NAMES),)
    assert np.isfinite(found).all()


def statistic(pixels: Pixels, name: str) -> float:
    return float(capture_statistics(pixels)[NAMES.index(name)])


def test_noise_of_a_flat_picture_is_the_median_of_its_kernel() -> None:
    noisy = np.random.default_rng(1).normal(128, 8, (64, 64, 1)).round().astype(np.uint8).repeat(3, axis=2)
    # The kernel's response has the deviation of the noise (36 / 36), and a median of 0.6745 of it.
    assert np.exp(statistic(noisy, "noise")) == pytest.approx(0.6745 * 8 / 255, rel=0.1)


def test_steps_at_borders_of_blocks_are_a_grid_and_others_are_none() -> None:
    steps = np.arange(48) // 8 * 9
    blocks = np.broadcast_to((steps[:, None] + steps)[:, :, None], (48, 48, 3)).astype(np.uint8)
    assert statistic(blocks, "grid") > 2
    assert statistic(np.roll(blocks, (3, 3), axis=(0, 1)), "grid") < 0
    assert statistic(np.full((8, 8, 3), 7, np.uint8), "grid") == 0


def test_rows_and_columns_count_alike() -> None:
    turned = np.ascontiguousarray(scene(3, 48).transpose(1, 0, 2))
    np.testing.assert_allclose(capture_statistics(turned), capture_statistics(scene(3, 48)), atol=1e-4)
