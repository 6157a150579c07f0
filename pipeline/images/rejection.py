"""Why a file is rejected or ignored: reason codes, and the meaning of each."""

from dataclasses import dataclass

REASONS = {
    # by the file's name and kind, nothing opened
    "no_class_folder": "it is directly in the source's folder, not in a class folder",
    "name_not_utf8": "its name is not UTF-8",
    "dangling_link": "it is a link to nothing, or in a circle of links",
    "link_leaves_source": "it is a link to a file outside the source",
    "linked_folder": "it is a link to a folder",
    "not_a_regular_file": "it is a pipe, a socket, a device, or a sparse file in an archive",
    "unreadable": "the system refuses to open or read it",
    "empty_name": "a folder in its name in the object store is empty, as in a//b",
    # by what a table says of it
    "path_leaves_source": "its path in a table, an archive or an object store leads out of the source",
    "missing_file": "a table names it, but it does not exist",
    "listed_twice": "a table has two equal rows for it; this is the second",
    "conflicting_labels": "a table gives it two different labels",
    "conflicting_rows": "two rows of a table contradict each other about it",
    "no_label": "it is a raw image without a label",
    "annotators_disagree": "people gave it different labels, and `disagreement` does not decide",
    "several_choices": "one person gave it several labels",
    # by what an archive says of it
    "several_members": "the archive has several files with this name",
    "link_in_archive": "it is a link in the archive",
    "encrypted": "it is encrypted in the archive",
    "unknown_compression": "the archive compresses it with an unsupported method",
    "damaged_member": "it is damaged in the archive",
    # by its first bytes
    "empty": "it has no content",
    "too_many_bytes": "it is larger than `max_bytes`, or the unpacked texts or colour profile of a PNG are",
    "not_an_image": "its content is not in a supported image format, whatever its name says",
    "heic_not_installed": "it is HEIC: `pip install 'image-data-pipeline[heic]'` to read it",
    "too_many_pixels": "its header claims more pixels than `max_pixels`",
    "side_too_long": "its header claims a side longer than `max_side`",
    "strip": "its header claims an aspect ratio above `max_aspect`",
    # by decoding it
    "truncated": "its end is missing; for a JPEG, more than `max_missing` of its rows",
    "undecodable": "it starts like an image, but cannot be decoded",
    "codec_warning": "it decodes with a codec warning, and `codec_warnings` is `reject`",
    "too_large": "decoding it needs more memory than `max_memory_mb`",
    "timeout": "decoding it takes longer than `max_seconds`",
    "decoder_crashed": "it crashed the process that decoded it",
}

# Why a file is none of a source's images, by its name alone: nobody need fix it.
IGNORED = {
    "hidden": "its name, or the name of a folder that contains it, starts with a dot",
    "system_file": "it belongs to an operating system or file server: previews, trash, snapshots, lost files",
    "left_out": "`include` or `exclude` excludes it",
    "not_listed": "no row or task names it, and `unlisted` is `ignore`",
    "not_inside": "it is not in the folder that `inside` names",
    "table": "it is the table or export with the labels or metadata",
}


@dataclass(frozen=True)
class Rejection:
    """Why a file was rejected: one of REASONS, and a detail."""

    reason: str
    detail: str


def too_many_bytes(size: int, most: int) -> Rejection | None:
    """A rejection if a file has more bytes than allowed, else None."""
    return Rejection("too_many_bytes", f"{size} bytes, the limit is {most}") if size > most else None


def failure(error: Exception) -> Rejection:
    """Turn any exception of a decoder into a rejection."""
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, MemoryError) or getattr(error, "code", None) == OPENCV_NO_MEMORY:
        return Rejection("too_large", f"its decoder gets no more memory: {words}")
    return Rejection("truncated" if "truncated" in words.lower() else "undecodable", words)


OPENCV_NO_MEMORY = -4  # cv::Error::StsNoMem
