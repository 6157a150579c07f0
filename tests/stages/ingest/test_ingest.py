"""ingest: no file disappears without a row that says why, and nothing but content shapes an output."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError
from pipeline.images.pixels import decode
from pipeline.images.rejection import IGNORED, REASONS
from pipeline.manifest import INGESTED, check_manifest
from tests.examples import encoded, picture, write_source
from tests.stages.ingest.ingesting import PNG, TOLERANT, run


def file_and_link(path: Path) -> None:
    path.write_bytes(PNG)
    path.with_suffix(".link").symlink_to(path.name)


def file_in_folder(path: Path) -> None:
    path.with_suffix("").mkdir()
    (path.with_suffix("") / "a.png").write_bytes(PNG)


def below(folder: Path) -> None:
    """Two files, at two depths."""
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "1.jpg").write_bytes(PNG)
    (folder / "deep" / "2.jpg").write_bytes(PNG)


KINDS: dict[str, Callable[[Path], object]] = {
    "png": lambda path: path.write_bytes(encoded(picture(len(path.name)))),
    "jpeg": lambda path: path.write_bytes(encoded(picture(2, 40, 20), "JPEG")),
    "gif": lambda path: path.write_bytes(encoded(picture(3), "GIF")),
    "link": file_and_link,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no picture"),
    "cut": lambda path: path.write_bytes(PNG[:300]),
    "bomb": lambda path: path.write_bytes(b"GIF89a\xff\xff\xff\xff" + encoded(picture(3), "GIF")[10:]),
    "hidden": lambda path: path.with_name(f".{path.name}").write_bytes(PNG),
    "system": lambda path: path.with_name("Thumbs.db").write_bytes(PNG),
    "hidden folder": lambda path: below(path.with_name(f".{path.name}")),
    "previews of a file server": lambda path: below(path.with_name("@eaDir") / path.name),
    "trash": lambda path: below(path.parent.parent / "#recycle" / path.name),
    "loose": lambda path: (path.parent.parent / f"loose-{path.name}").write_bytes(PNG),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "outside": lambda path: path.symlink_to("/dev/null"),
    "pipe": os.mkfifo,
    "not UTF-8": lambda path: path.with_name(f"{path.name}\udcff").write_bytes(PNG),
    "odd name": lambda path: path.with_name(f'{path.name} "a",\n\r b\\').write_bytes(PNG),
    "icon": lambda path: path.with_name("Icon\r").write_bytes(b""),  # macOS makes these
    "nested": file_in_folder,
}


def files_under(root: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(root))


def shown_paths(root: Path) -> list[str]:
    files = [os.path.relpath(Path(folder) / name, root) for folder, _, names in os.walk(root) for name in names]
    return [file.encode(errors="backslashreplace").decode() for file in files]


def test_every_file_is_accepted_rejected_or_ignored_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "src" / "cat").mkdir(parents=True)
    for kind, make in KINDS.items():
        make(tmp_path / "src" / "cat" / f"{kind}.png")
    done = run(tmp_path / "src", tmp_path, TOLERANT)
    accepted = ["gif.png", "jpeg.png", "link.link", "link.png", "nested/a.png", 'odd name.png "a",\n\r b\\', "png.png"]
    assert done.manifest["path"].tolist() == [f"cat/{name}" for name in accepted]
    assert dict(zip(done.outputs.rejected["path"], done.outputs.rejected["reason"], strict=True)) == {
        "cat/Icon\r": "empty",
        "cat/bomb.png": "too_many_pixels",
        "cat/cut.png": "truncated",
        "cat/dangling.png": "dangling_link",
        "cat/empty.png": "empty",
        "cat/not UTF-8.png\\udcff": "name_not_utf8",
        "cat/outside.png": "link_leaves_source",
        "cat/pipe.png": "not_a_regular_file",
        "cat/text.png": "not_an_image",
        "loose-loose.png": "no_class_folder",
    }
    assert dict(done.outputs.ignored.itertuples(index=False)) == {
        "#recycle/trash.png/1.jpg": "system_file",
        "#recycle/trash.png/deep/2.jpg": "system_file",
        "cat/.hidden folder.png/1.jpg": "hidden",
        "cat/.hidden folder.png/deep/2.jpg": "hidden",
        "cat/.hidden.png": "hidden",
        "cat/@eaDir/previews of a file server.png/1.jpg": "system_file",
        "cat/@eaDir/previews of a file server.png/deep/2.jpg": "system_file",
        "cat/Thumbs.db": "system_file",
    }
    assert done.outputs.metrics == {
        "files": 25,
        "accepted": 7,
        "ignored": 8,
        "rejected": 10,
        "reasons": Counter(done.outputs.rejected["reason"]),
        "codec_warnings": 0,
        "misnamed": 2,
        "little_of_range": 0,
        "unlabelled": 0,
    }
    assert done.outputs.summary == (
        "7 images, 10 rejected (1 dangling_link, 2 empty, 1 link_leaves_source, 1 name_not_utf8, 1 no_class_folder, "
        "1 not_a_regular_file, 1 not_an_image, 1 too_many_pixels, 1 truncated), 8 ignored\n"
        "  1 class: cat 7\n"
        "  2 files have the ending of another format; they were read by their content: cat/gif.png (is GIF), "
        "cat/jpeg.png (is JPEG)"
    )


@settings(deadline=None, max_examples=20)
@given(kinds=st.lists(st.sampled_from(list(KINDS)), max_size=8))
def test_files_seen_are_those_accepted_rejected_and_ignored(
    kinds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("law")
    write_source(base / "src", {"cat": 1})
    for number, kind in enumerate(kinds):
        KINDS[kind](base / "src" / "cat" / f"more-{number}.png")
    done = run(base / "src", base, TOLERANT)
    counts = done.outputs.metrics
    assert counts["accepted"] + counts["rejected"] + counts["ignored"] == counts["files"] == files_under(base / "src")
    assert counts["rejected"] == sum(counts["reasons"].values())
    assert set(counts["reasons"]) <= set(REASONS)
    content = done.content()
    table = catalogue.INGEST_REJECTED.read(done.folder / "rejected")
    assert len(table) == len(done.outputs.rejected)
    rows = [*done.manifest["path"], *done.outputs.rejected["path"], *done.outputs.ignored["path"]]
    assert sorted(rows) == sorted(shown_paths(base / "src"))
    assert set(done.outputs.ignored["reason"]) <= set(IGNORED)
    assert len(catalogue.INGEST_IGNORED.read(done.folder / "ignored")) == counts["ignored"]
    assert content == run(base / "src", base, TOLERANT).content()


def test_a_manifest_row_tells_all_about_an_image(tmp_path: Path) -> None:
    label = "Große Katze 猫"
    (tmp_path / "src" / label).mkdir(parents=True)
    (tmp_path / "src" / label / "a b.jpg").write_bytes(encoded(picture(7, 40, 20), "JPEG"))
    done = run(tmp_path / "src", tmp_path, {"sources.web.role": "production", "ingest.fit": "stretch"})
    [row] = check_manifest(done.manifest, INGESTED).to_dict("records")
    image_id = f"web/{label}/a b.jpg"
    assert [row[name] for name in ("id", "source", "role", "label")] == [image_id, "web", "production", label]
    assert [row[name] for name in ("path", "width", "height", "format")] == [f"{label}/a b.jpg", 20, 40, "JPEG"]
    assert decode(done.image(image_id)).shape == (16, 16, 3)


def test_too_many_rejected_files_stop_the_stage_with_the_first_of_them(tmp_path: Path) -> None:
    write_source(tmp_path / "src", {"cat": 13})
    for number in range(7):
        (tmp_path / "src" / "cat" / f"bad-{number}.png").write_bytes(b"x" if number else b"")
    with pytest.raises(DataError) as caught:
        run(tmp_path / "src", tmp_path, {"ingest.max_rejected": 0.3})
    head, *first, last = str(caught.value).splitlines()
    assert head == (
        f"7 of 20 files in {tmp_path}/src were rejected (1 empty, 6 not_an_image), "
        "the limit ingest.max_rejected is 30%. For example:"
    )
    assert first[0] == "  cat/bad-0.png: empty: the file has no content"
    assert [line.split(":")[0] for line in first[:5]] == [f"  cat/bad-{number}.png" for number in range(5)]
    assert first[5:] == ["  and 2 more"]
    assert last == "Fix or remove these files, or raise the limit: rejected.csv then lists all of them"
    assert len(run(tmp_path / "src", tmp_path, {"ingest.max_rejected": 0.35}).manifest) == 13


def test_a_source_of_nothing_but_rejected_files_is_an_error_whatever_the_limit(tmp_path: Path) -> None:
    (tmp_path / "src" / "cat").mkdir(parents=True)
    (tmp_path / "src" / "cat" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"^1 of 1 files in .*/src were rejected \(1 empty\): no image is left"):
        run(tmp_path / "src", tmp_path, TOLERANT)


def write_loose(root: Path) -> None:
    root.mkdir()
    for name in ("1.png", "2.png"):
        (root / name).write_bytes(PNG)


WITHOUT_IMAGES: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "missing": (lambda root: None, MissingInputError, "is missing: correct its path under `sources` in params.yaml"),
    "empty": (lambda root: root.mkdir(), DataError, "has no files. Rule: put the images in one folder per class, "),
    "empty class": (lambda root: (root / "cat").mkdir(parents=True), DataError, "has no files. Rule: put the images"),
    "hidden": (lambda root: write_source(root / ".cat", {"cat": 1}), DataError, "has no images, 1 ignored files. Rule"),
    "loose": (write_loose, DataError, "has no class folders, and 2 files outside of class folders. "),
}


@pytest.mark.parametrize("kind", WITHOUT_IMAGES)
def test_a_source_without_images_says_what_is_wrong(kind: str, tmp_path: Path) -> None:
    make, error, message = WITHOUT_IMAGES[kind]
    make(tmp_path / "src")
    with pytest.raises(error, match=rf"^the source folder {tmp_path}/src {message}"):
        run(tmp_path / "src", tmp_path)
