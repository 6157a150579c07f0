"""Zip archives as sources."""

import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pipeline.sources.members import Archive, Member
from pipeline.sources.places import Place, openable

# "Version made by" (APPNOTE 4.4.2): FAT, NTFS, VFAT.
WINDOWS = {0, 10, 14}


@dataclass
class Zip(Archive):
    """Any member is reached at once, by each worker."""

    def _list(self) -> Iterator[Member]:
        for number, info in enumerate(_zip(self.place, self.stamp).infolist()):
            name = _name(info)
            if not name.endswith("/"):
                yield Member(name, number, info.file_size, _zip_reason(info))

    def _content(self, member: Member) -> bytes:
        archive = _zip(self.place, self.stamp)
        with archive.open(archive.infolist()[member.where]) as file:
            # The checksum is held against the content when its end is seen.
            return file.read(member.size) + file.read(1)


def _name(info: zipfile.ZipInfo) -> str:
    """With `/`, as the format has it, where a program of Windows wrote a backslash; as Info-ZIP's unzip reads it."""
    name = info.filename
    return name.replace("\\", "/") if info.create_system in WINDOWS and "/" not in name else name


def _zip_reason(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "link_in_archive"
    if kind not in {0, stat.S_IFREG}:
        return "not_a_regular_file"
    if info.flag_bits & 1:
        return "encrypted"
    # Others may unpack a few bytes to gigabytes in one go.
    return "" if info.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} else "unknown_compression"


# A process opens an archive once.
@lru_cache(maxsize=2)
def _zip(place: Place, stamp: tuple[int, ...]) -> zipfile.ZipFile:
    return zipfile.ZipFile(openable(place))
