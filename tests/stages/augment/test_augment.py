"""augment: variants of train's images, each a function of its image and number alone."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import DataError, ParamsError
from pipeline.images.pixels import decode
from pipeline.manifest import BALANCED, SPLIT, check_manifest, counts_per_label
from pipeline.project.runner import run_stage
from pipeline.stages.augment.guards import is_blank
from pipeline.store.shards import NO_SHARDS, NO_SHARDS_TEXT
from pipeline.workers.engine import Engine
from tests.augmented import BLACKEN, NOISE, TURN, Originals, oversampled, run
from tests.examples import params


def test_each_image_gets_its_copies_and_keeps_its_own_pixels(originals: Originals) -> None:
    done = run(originals, copies=2)
    rows = check_manifest(done.manifest, BALANCED, unique=("id", "copy"))
    assert rows["copy"].tolist() == [0, 1, 2] * 6
    assert rows["id"].tolist() == originals.rows["id"].repeat(3).tolist()
    pd.testing.assert_frame_equal(rows[rows["copy"] == 0].reset_index(drop=True), originals.rows, check_dtype=False)
    copied = rows[rows["copy"] > 0].drop(columns=["copy", "pixels", "shard", "row"]).drop_duplicates()
    pd.testing.assert_frame_equal(copied.reset_index(drop=True), originals.rows[copied.columns], check_dtype=False)
    images = done.images()
    assert {decode(image).shape for image in images.values()} == {(16, 16, 3)}
    assert len(set(images.values())) == 18
    assert rows["pixels"].nunique() == 18


def test_images_that_are_not_among_the_rows_get_no_copies(originals: Originals) -> None:
    train = originals.rows.iloc[[0, 3]]
    assert set(run(originals, rows=train).manifest["id"]) == set(train["id"])


@pytest.mark.parametrize("transforms", [(), (TURN,)])
def test_no_copies_leave_the_manifest_as_it_is(transforms: Sequence[dict[str, Any]], originals: Originals) -> None:
    done = run(originals, copies=0, transforms=transforms)
    pd.testing.assert_frame_equal(done.manifest, originals.rows, check_dtype=False)


def test_rows_that_balancing_repeated_become_pictures_of_their_own(originals: Originals) -> None:
    done = run(originals, rows=oversampled(originals), copies=0)
    emu = {copy: image for (name, copy), image in done.images().items() if "/emu/" in name}
    assert sorted(emu) == [0, 1, 2]
    assert len(set(emu.values())) == 3
    twice = run(originals, rows=oversampled(originals), copies=1).images()
    assert len(set(twice.values())) == len(twice) == 2 * 8


def test_the_index_of_the_rows_does_not_count(originals: Originals) -> None:
    rows = oversampled(originals)
    as_balance_returns_them = rows.set_axis([0, 1, 2, 3, 4, 5, 5, 5])
    pd.testing.assert_frame_equal(
        run(originals, rows=as_balance_returns_them).manifest, run(originals, rows=rows).manifest
    )


def test_without_transforms_repeated_rows_show_the_original(originals: Originals) -> None:
    done = run(originals, rows=oversampled(originals), copies=0, transforms=())
    emu = [image for (name, _), image in done.images().items() if "/emu/" in name]
    assert len(emu) == 3
    assert len(set(emu)) == 1


def test_more_copies_keep_the_earlier_pictures(originals: Originals) -> None:
    few, many = run(originals, copies=1), run(originals, copies=3)
    assert few.images().items() < many.images().items()
    assert set(few.manifest["pixels"]) < set(many.manifest["pixels"])
    warm = run(originals, copies=3, folder=few.folder)
    assert warm.content() == many.content()


def test_a_picture_does_not_depend_on_what_other_rows_there_are(originals: Originals) -> None:
    alone = run(originals, rows=originals.rows.iloc[[4]])
    assert alone.images().items() < run(originals).images().items()


def test_copies_up_to_a_count_fill_small_classes(originals: Originals) -> None:
    done = run(originals, copies={"name": "up_to", "rows": 4})
    assert counts_per_label(done.manifest) == {"cat": 4, "dog": 4, "emu": 4}
    assert done.metrics["per_class"]["emu"] == {"originals": 1, "variants": 3, "blank": 0, "unchanged": 0}


def test_copies_of_an_unknown_class_are_refused(originals: Originals) -> None:
    with pytest.raises(ParamsError, match=r"train does not have: fox; its classes are cat, dog, emu$"):
        run(originals, copies={"name": "per_class", "counts": {"fox": 2}, "otherwise": 0})


def test_online_the_plan_is_the_same_and_no_pixels_are_made(originals: Originals) -> None:
    online, made = (
        run(originals, rows=oversampled(originals), copies=2, mode=mode) for mode in ("online", "materialise")
    )
    plan = ["id", "copy", "label", "group", "weight"]
    pd.testing.assert_frame_equal(online.manifest[plan], made.manifest[plan])
    assert online.shards() == {}
    assert online.folder.is_dir()
    parents = online.manifest["id"].map(originals.rows.set_index("id")["pixels"])
    assert (online.manifest["pixels"] == parents).all()
    assert len(set(online.images().values())) == 6


def test_online_a_sample_is_looked_at(originals: Originals) -> None:
    done = run(originals, copies=3, mode="online")
    assert (done.metrics["variants"], done.metrics["checked"], done.metrics["blank"]) == (18, 18, 0)
    with pytest.raises(ParamsError, match=r"^18 of 18 variants are blank .* for 18 of the 18 checked"):
        run(originals, copies=3, mode="online", transforms=[BLACKEN])


def test_blank_variants_stop_the_stage(originals: Originals) -> None:
    with pytest.raises(ParamsError, match=r"^6 of 6 variants are blank \(100\.0%, .*: RandomBrightnessContrast"):
        run(originals, transforms=[TURN, BLACKEN])


def test_images_without_a_change_stop_the_stage(originals: Originals) -> None:
    with pytest.raises(
        ParamsError,
        match=r"^6 images are unchanged by augmentation .* XYMasking "
        r"\(augment\.transforms\.0\)",
    ):
        run(originals, copies=3, transforms=[{"name": "XYMasking", "p": 1.0}])


def test_failures_within_the_limit_are_counted_also_when_their_pixels_are_taken_over(originals: Originals) -> None:
    seldom = {**BLACKEN, "p": 0.2}
    first = run(originals, copies=20, transforms=[seldom], max_failed=0.9)
    assert 0 < first.metrics["blank"] < 120
    assert f"{first.metrics['blank']} of 120 variants are blank" in first.summary
    again = run(originals, copies=20, transforms=[seldom], max_failed=0.9, folder=first.folder)
    assert again.metrics == first.metrics
    blank = [image for image in first.images().values() if is_blank(decode(image))]
    assert len(blank) == first.metrics["blank"]


def test_remarks_of_the_library_stand_in_the_summary(originals: Originals) -> None:
    lines = run(originals, transforms=[TURN, {"name": "Blur", "blur_limit": 4}]).summary.splitlines()
    assert lines[0] == "6 originals and 6 variants"
    assert lines[1].startswith("  augment.transforms.1: blur_limit: Non-zero kernel sizes must be odd.")


@pytest.mark.parametrize("change", [{"seed": 2}, {"transforms": [TURN]}, {"transforms": [NOISE, TURN]}])
def test_another_seed_or_other_transforms_give_other_pictures(change: dict[str, Any], originals: Originals) -> None:
    done = run(originals)
    plain = done.images()
    # In the same folder: nothing may be taken over.
    other = run(originals, folder=done.folder, **change).images()
    assert {key for key in plain if plain[key] == other[key]} == {key for key in plain if key[1] == 0}


def test_another_encoding_gives_other_shards(originals: Originals) -> None:
    png = run(originals)
    before = png.shards().keys()
    # In the same folder: nothing may be taken over.
    for quality in (90, 40):
        jpeg = run(originals, folder=png.folder, encoding={"name": "jpeg", "quality": quality})
        assert jpeg.shards().keys() & before == set()
        assert {image[:2] for (_, copy), image in jpeg.images().items() if copy} == {b"\xff\xd8"}
        before = jpeg.shards().keys()


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        (
            [{"name": "Rotat"}, {"name": "Blur", "blur": 3}],
            r"(?s)transforms\.0\.name: .* mean Rotate\?.*transforms\.1\.blur: Blur has no",
        ),
        (
            [{"name": "CenterCrop", "height": 8, "width": 8}],
            r"(?s)augment\.transforms\.0: CenterCrop turns \(16, 16, 3\) uint8 pixels into \(8, 8, 3\)",
        ),
    ],
)
def test_transforms_that_cannot_be_used_are_said_in_words(
    transforms: Sequence[dict[str, Any]], message: str, originals: Originals
) -> None:
    with pytest.raises(ParamsError, match=message):
        run(originals, transforms=transforms)


def test_a_misspelt_transform_is_said_even_where_no_copy_is_made(originals: Originals) -> None:
    with pytest.raises(
        ParamsError, match=r"augment\.transforms\.0\.name: albumentations has no transform 'Rotat', did you mean"
    ):
        run(originals, copies=0, transforms=[{"name": "Rotat"}])


def test_a_row_that_stands_twice_is_refused(originals: Originals) -> None:
    rows = pd.concat([originals.rows, originals.rows.head(1)])
    with pytest.raises(DataError, match=r"^the manifest is not usable: 1 rows are duplicates: web/cat/000\.png$"):
        run(originals, rows=rows)


@pytest.mark.parametrize(
    ("learn_from", "taught"), [("none", []), ("pseudo_labels", ["new/1"]), ("consistency", ["new/1"])]
)
def test_training_gets_images_without_a_label_only_if_it_learns_from_them(
    learn_from: str, taught: list[str], originals: Originals
) -> None:
    """Neither those that are held back, nor those of a group that is measured."""
    reasons = ["held_back", "unlabelled", "unlabelled_in_a_held_out_group"]
    unused = originals.rows[SPLIT.names].head(3).assign(id=[f"new/{number}" for number in range(3)], split=reasons)
    assert run(originals, unused=unused, learn_from=learn_from).unlabelled["id"].tolist() == taught


def place_inputs(originals: Originals) -> None:
    """What the stage reads, in the current folder."""
    for folder in ("data/balance", "data/ingest", "data/split"):
        Path(folder).mkdir(parents=True)
    catalogue.SPLIT_UNUSED.write(originals.rows[SPLIT.names].head(0), Path(catalogue.SPLIT_UNUSED.path))
    catalogue.BALANCED.write(originals.rows, Path(catalogue.BALANCED.path))
    shutil.copytree(originals.folder, "data/ingest/web")


def test_shards_go_when_nothing_points_at_them_any_more_and_come_back_the_same(
    originals: Originals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one list to another, to mode online, and back."""
    monkeypatch.chdir(tmp_path)
    place_inputs(originals)

    def shards(transform: dict[str, Any], mode: str = "materialise") -> dict[str, bytes]:
        run_stage("augment", params(**{"augment.transforms": [transform], "augment.mode": mode}), Engine(1))
        return {path.name: path.read_bytes() for path in Path("data/augment/shards").iterdir()}

    turned = shards(TURN)
    assert shards(NOISE).keys() & turned.keys() == set()
    assert shards(TURN, "online") == {NO_SHARDS: NO_SHARDS_TEXT.encode()}
    assert shards(TURN) == turned != {}


@pytest.mark.parametrize(
    ("mode", "copies", "transforms"),
    [
        *(("materialise", 0, []), ("materialise", 0, [TURN]), ("materialise", 1, [TURN])),
        *(("online", 0, []), ("online", 0, [TURN]), ("online", 1, [TURN])),
    ],
)
def test_the_stage_leaves_a_folder_of_shards_whatever_params_say(
    mode: str,
    copies: int,
    transforms: list[dict[str, Any]],
    originals: Originals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    place_inputs(originals)
    chosen = params(**{"augment.copies.count": copies, "augment.transforms": transforms, "augment.mode": mode})
    summary = run_stage("augment", chosen, Engine(1))
    assert summary.startswith(f"augment: 6 originals and {6 * copies} variants (")
    # DVC takes an output that is not there for a stage that failed, and warns of an empty one.
    (left,) = Path("data/augment/shards").iterdir()
    assert (left.name == NO_SHARDS) == (not copies or mode == "online")
    assert Path("reports/augment/metrics.json").read_text().startswith('{\n  "blank": 0,')
