"""Why a file is rejected or ignored: reason codes, and the meaning of each."""

from dataclasses import dataclass

REASONS = {
    # by the file's name and kind, nothing opened
    "no_class_folder": "it lies directly in the source, not in a class's folder",
    "name_not_utf8": "its name is not UTF-8",
    "dangling_link": "a link that leads nowhere, or in a circle",
    "link_leaves_source": "a link to a file outside the source",
    "linked_folder": "a link to a folder",
    "not_a_regular_file": "a pipe, a socket, a device, or a sparse file of an archive",
    "unreadable": "the system refuses to open or read it",
    # by what a table says of it
    "path_leaves_source": "a table or an archive names it by a path that leads out of the source",
    "missing_file": "a table names it, and it is not there",
    "listed_twice": "a table has two rows for it that say the same: this is the second",
    "conflicting_labels": "a table gives it two labels",
    "conflicting_rows": "two rows of a table say different things of it",
    "no_label": "a raw image without a label",
    "annotators_disagree": "people gave it different labels, and `disagreement` does not settle it",
    "several_choices": "somebody gave it more than one label",
    # by what an archive says of it
    "several_members": "the archive has several files of this name",
    "link_in_archive": "the archive has a link under this name",
    "encrypted": "the archive has it encrypted",
    "unknown_compression": "the archive has it compressed in another way than a zip's usual one",
    "damaged_member": "the archive has it damaged",
    # by its first bytes
    "empty": "it has no content",
    "too_many_bytes": "it is larger than `max_bytes`, or a PNG's texts or colour profile are when unpacked",
    "not_an_image": "its content is of no format that is read, whatever its name says",
    "heic_not_installed": "HEIC, which `pip install 'image-data-pipeline[heic]'` adds",
    "too_many_pixels": "its header claims more pixels than `max_pixels`",
    "side_too_long": "its header claims a side longer than `max_side`",
    "strip": "its header claims sides of a ratio above `max_aspect`",
    # by decoding it
    "truncated": "its end is missing (of a JPEG: more than `max_missing` of its rows; the end marker alone is no row)",
    "undecodable": "it begins as an image, and its decoder refuses it",
    "codec_warning": "it decodes, but the codec complained, and `codec_warnings` is `reject`",
    "too_large": "decoding it needs more memory than `max_memory_mb`",
    "timeout": "decoding it takes longer than `max_seconds`",
    "decoder_crashed": "decoding it ends the process that does it",
}

# Why a file is none of a source's images, by its name alone: nobody need fix it.
IGNORED = {
    "hidden": "its name, or that of a folder it lies in, begins with a dot",
    "system_file": "a system left it, or a folder it lies in: previews, trash, snapshots, lost files",
    "left_out": "`include` or `exclude` leaves it out",
    "not_listed": "no row or task names it, and `unlisted` is `ignore`",
    "not_inside": "it lies elsewhere in the archive than `inside`",
    "table": "it is the table or export that speaks of the others",
}


@dataclass(frozen=True)
class Rejection:
    """Why a file was rejected: one of REASONS, and a detail."""

    reason: str
    detail: str


def failure(error: Exception) -> Rejection:
    """Turn any exception of a decoder into a rejection."""
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, MemoryError) or getattr(error, "code", None) == OPENCV_NO_MEMORY:
        return Rejection("too_large", f"its decoder gets no more memory: {words}")
    return Rejection("truncated" if "truncated" in words.lower() else "undecodable", words)


OPENCV_NO_MEMORY = -4  # cv::Error::StsNoMem
