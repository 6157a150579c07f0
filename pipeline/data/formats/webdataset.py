"""Tar files of samples, read in a row: what the library `webdataset` streams, from a disk or a server."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.data.formats.rows import Exported, suffix_of
from pipeline.data.formats.splits import write_splits
from pipeline.store.refusals import refusals

# Samples of a tar file: enough files for the workers of many machines, none too small to stream.
SAMPLES = 1000


def write_webdataset(
    splits: Sequence[Exported], classes: Sequence[str], folder: Path, advance: Callable[[int], None]
) -> None:
    """<split>-000000.tar and so on: of each sample the picture, `cls` (class number) and `json` (the facts).

    Where an image may have several labels, there is no `cls`: `labels` in `json` has their numbers; where
    images have numbers, `number` has them.

    Samples are in an order by digests, because a reader shuffles neighbours alone, and manifests are sorted.
    """
    for split in splits:
        order = sorted(range(len(split.names)), key=lambda at: hashlib.sha256(split.names[at].encode()).digest())
        for number, start in enumerate(range(0, len(order), SAMPLES)):
            path = folder / f"{split.split}-{number:06}.tar"
            with refusals(path), tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
                for position in order[start : start + SAMPLES]:
                    data = split.data(position)
                    facts = split.facts(position, classes)
                    number_of_class = {".cls": str(facts["class"])} if "class" in facts else {}
                    texts = {**number_of_class, ".json": json.dumps(facts, sort_keys=True)}
                    for suffix, content in {suffix_of(data): data, **{k: v.encode() for k, v in texts.items()}}.items():
                        # Of time, owner and mode it keeps the same defaults everywhere.
                        member = tarfile.TarInfo(split.names[position] + suffix)
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
                    advance(1)
    write_splits([each.split for each in splits], "{split}-*.tar", folder)
