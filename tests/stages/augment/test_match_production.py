"""augment with match_production: raw variants are degraded, and all else stays as it is."""

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError, ParamsError
from pipeline.images.pixels import Pixels, decode
from pipeline.manifest import BALANCED, PRODUCTION, RAW, SPLIT
from pipeline.metrics.two_samples import Result
from pipeline.stages.augment import production_gap
from pipeline.stages.augment.copies import plan_copies
from pipeline.stages.augment.degradation import NOTHING, Strength, Strengths, degrade
from pipeline.stages.augment.production_gap import Gap
from pipeline.stages.embed.params import EfficientNetLite0Backbone
from pipeline.stages.ingest.stage import ingest
from pipeline.store.shards import ShardStore
from pipeline.workers.engine import Engine
from tests.augmented import BLACKEN, TURN, Originals, Run, run
from tests.examples import encoded, params, with_columns
from tests.scenes import both_roles

DARK = Strengths(brightness=Strength(-1.0, 0.1))
NIGHT = Strengths(brightness=Strength(-2.0, 0.0), contrast=Strength(-2.0, 0.0))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    """50 scenes of each role, production's darker."""
    base = tmp_path_factory.mktemp("photos")
    rows, pictures = both_roles(DARK, 50, 16)
    manifests = []
    for source, role in (("web", RAW), ("phone", PRODUCTION)):
        folder = base / source / "thing"
        folder.mkdir(parents=True)
        for number in np.flatnonzero(rows["role"] == role).tolist():
            (folder / f"{number:03}.png").write_bytes(encoded(pictures[number]))
        chosen = params(**{f"sources.{source}.path": str(base / source), "ingest.size": 16})
        store = ShardStore(base / "ingest" / source)
        done = ingest(source, chosen.sources[source], chosen.ingest, store, Engine(1))
        manifests.append(done.manifest.to_pandas())
    both = pd.concat(manifests, ignore_index=True)
    return Originals(with_columns(both.assign(group=both["id"], split="train", copy=0), BALANCED), base / "ingest")


def raw_of(photos: Originals) -> pd.DataFrame:
    raw: pd.DataFrame = photos.rows[photos.rows["role"] == RAW].reset_index(drop=True)
    return raw


def held_back(photos: Originals) -> pd.DataFrame:
    unused: pd.DataFrame = photos.rows.loc[photos.rows["role"] == PRODUCTION, SPLIT.names].assign(split="held_back")
    return unused


def planted(monkeypatch: pytest.MonkeyPatch, strengths: Strengths) -> None:
    """The estimate says so, without looking."""
    gap = Gap(strengths, Result(0.9, 0.01, 0.8, 1.0), Result(0.5, 0.5, 0.4, 0.6), 50, True)
    monkeypatch.setattr(production_gap, "estimate_gap", lambda rows, read, seed, view: gap)


def pixels_of(done: Run) -> dict[tuple[str, int], Pixels]:
    return {key: decode(image) for key, image in done.images().items()}


def test_production_in_train_says_how_raw_variants_are_degraded(photos: Originals) -> None:
    done = run(photos, transforms=(), match_production=True)
    found = done.metrics["match_production"]
    assert found["strengths"]["brightness"]["typical"] == pytest.approx(-1.0, abs=0.2)
    assert found["auc_before"] > 0.8 > found["auc_after"]
    assert done.summary.splitlines()[1].startswith("  raw images are degraded by brightness -")
    strengths = Strengths(**{kind: Strength(**numbers) for kind, numbers in found["strengths"].items()})
    pixels = pixels_of(done)
    for (image, copy), seen in pixels.items():
        original = pixels[image, 0]
        expected = degrade(original, strengths, 1, image, copy) if image.startswith("web/") and copy else original
        np.testing.assert_array_equal(seen, expected)


def test_images_held_back_from_train_say_the_same_and_train_nothing(photos: Originals) -> None:
    inside = run(photos, transforms=(), match_production=True)
    outside = run(photos, rows=raw_of(photos), unused=held_back(photos), transforms=(), match_production=True)
    assert outside.metrics["match_production"] == inside.metrics["match_production"]
    assert set(outside.manifest["role"]) == {RAW}


def test_with_a_backbone_what_pictures_show_is_compared_too(photos: Originals) -> None:
    backbone = EfficientNetLite0Backbone(name="efficientnet_lite0", side=32)
    done = run(photos, transforms=(), match_production=True, backbone=backbone)
    without = run(photos, transforms=(), match_production=True)
    found = done.metrics["match_production"]
    embedded = found.pop("embedding")
    assert found == without.metrics["match_production"]
    assert done.shards() == without.shards()
    for name in ("before", "after", "sketches"):
        assert 0 <= embedded[f"auc_{name}_low"] <= embedded[f"auc_{name}"] <= embedded[f"auc_{name}_high"] <= 1
    # The scenes of both roles are of one kind.
    assert embedded["auc_before"] > embedded["auc_after"]
    assert embedded["rest"] != "content"
    assert f"  by embedding, the AUC is {embedded['auc_after']:.3f} (" in done.summary
    assert "what the images show is not compared (embed.backbone: null)" in without.summary


def test_without_production_the_stage_says_what_is_missing(photos: Originals) -> None:
    with pytest.raises(
        DataError, match=r"^augment\.match_production needs images .* and 0 of production\. Add production"
    ):
        run(photos, rows=raw_of(photos), match_production=True)


def test_degrading_comes_before_the_transforms(photos: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, DARK)
    turned, plain = (run(photos, transforms=[TURN], match_production=match) for match in (True, False))
    bright, dark = pixels_of(plain), pixels_of(turned)
    same = {key for key in bright if np.array_equal(bright[key], dark[key])}
    assert same == {(image, copy) for image, copy in bright if copy == 0 or image.startswith("phone/")}
    for key in set(bright) - same:
        assert dark[key].mean() == pytest.approx(bright[key].mean() / 2, rel=0.3)


def test_strengths_that_change_rebuild_raw_variants_alone(photos: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[dict[tuple[str, int], str]] = []
    for strengths in (DARK, NIGHT):
        planted(monkeypatch, strengths)
        rows = run(photos, transforms=[TURN], match_production=True).manifest
        names.append(dict(zip(zip(rows["id"], rows["copy"], strict=True), rows["pixels"], strict=True)))
    changed = {key for key, name in names[0].items() if names[1][key] != name}
    assert changed == {(image, copy) for image, copy in names[0] if copy and image.startswith("web/")}


def test_where_there_is_no_gap_all_is_as_without(photos: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, NOTHING)
    with_it, without = (run(photos, transforms=[TURN], match_production=match) for match in (True, False))
    assert with_it.shards() == without.shards()
    pd.testing.assert_frame_equal(with_it.manifest, without.manifest)
    assert "degraded by nothing" in with_it.summary
    assert "match_production" not in without.metrics


def test_any_number_of_workers_and_any_order_of_rows_give_the_same_bytes(photos: Originals) -> None:
    one, two = (
        run(photos, rows=rows, copies=5, workers=workers, match_production=True)
        for rows, workers in ((photos.rows, 1), (photos.rows.sample(frac=1, random_state=1), 2))
    )
    assert one.content() == two.content()


def test_repeats_of_a_row_count_once_in_the_estimate(photos: Originals) -> None:
    twice = plan_copies(photos.rows, params().augment.copies, 1)
    done = run(photos, rows=twice, copies=0, match_production=True)
    assert done.metrics["match_production"] == run(photos, match_production=True).metrics["match_production"]


def test_online_what_is_degraded_is_made_once(photos: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, DARK)
    online = run(photos, copies=2, transforms=[TURN], match_production=True, mode="online")
    bare = run(photos, copies=2, transforms=(), match_production=True)
    expected = pixels_of(bare)
    for key, pixels in pixels_of(online).items():
        np.testing.assert_array_equal(pixels, expected[key])
    assert len(set(online.images().values())) == 50 * 3 + 50
    assert online.metrics["checked"] == 200


@pytest.mark.parametrize("mode", ["materialise", "online"])
def test_transforms_that_blank_degraded_pictures_are_blamed(
    mode: str, photos: Originals, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, DARK)
    with pytest.raises(
        ParamsError,
        match=r"^100 of 100 .* Responsible transforms: RandomBrightnessContrast .* 20 of "
        r"the 20 checked",
    ):
        run(photos, transforms=[TURN, BLACKEN], match_production=True, mode=mode)
