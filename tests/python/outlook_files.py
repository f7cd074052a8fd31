"""Outlook messages (MS-OXMSG), written by hand: no library of a free licence writes them.

They lie in compound files (MS-CFB, version 3): a small file system of 512-byte sectors, with
streams below 4096 bytes in a stream of 64-byte sectors of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["compound_file", "outlook_message"]

Storage = Mapping[str, "bytes | Storage"]

_SECTOR, _SMALL_SECTOR, _SMALL_STREAM = 512, 64, 4096
_FAT_SECTOR, _END, _NONE = 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)

Property = str | bytes | int | datetime


def outlook_message(
    properties: Mapping[int, Property],
    *,
    recipients: Sequence[Mapping[int, Property]] = (),
    attachments: Sequence[Mapping[int, Property]] = (),
) -> bytes:
    """A message of properties by their MS-OXPROPS ids, such as 0x0037 for the subject."""
    counts = (len(recipients), len(attachments))
    root = _with_properties(struct.pack("<8x4I8x", *counts, *counts), properties)
    for name, parts in (("recip", recipients), ("attach", attachments)):
        for number, part in enumerate(parts):
            root[f"__{name}_version1.0_#{number:08X}"] = _with_properties(bytes(8), part)
    return compound_file(root)


def _with_properties(
    header: bytes, properties: Mapping[int, Property]
) -> dict[str, bytes | Storage]:
    """A storage: short values stand in one stream with the list of all, long ones in their own."""
    storage: dict[str, bytes | Storage] = {}
    listed = header
    for id, value in properties.items():
        if isinstance(value, int):
            listed += struct.pack("<HHIQ", 0x0003, id, 6, value)
        elif isinstance(value, datetime):
            ticks = int((value - _EPOCH).total_seconds()) * 10_000_000
            listed += struct.pack("<HHIQ", 0x0040, id, 6, ticks)
        else:
            kind = 0x001F if isinstance(value, str) else 0x0102
            data = value.encode("utf-16-le") if isinstance(value, str) else value
            # The size of a string counts the zero that its stream leaves out.
            size = len(data) + (2 if isinstance(value, str) else 0)
            listed += struct.pack("<HHIQ", kind, id, 6, size)
            storage[f"__substg1.0_{id:04X}{kind:04X}"] = data
    return {"__properties_version1.0": listed, **storage}


@dataclass
class _Entry:
    """A row of the directory."""

    name: str
    kind: int
    data: bytes = b""
    start: int = _END
    left: int = _NONE
    right: int = _NONE
    child: int = _NONE

    def pack(self) -> bytes:
        name = self.name.encode("utf-16-le") + b"\0\0"
        links = (self.left, self.right, self.child)
        head = struct.pack("<64sHBB3I", name, len(name), self.kind, 1, *links)
        return head + struct.pack("<36xIQ", self.start, len(self.data))


def compound_file(storage: Storage) -> bytes:
    """Pack streams, and storages of them, by name."""
    entries = [_Entry("Root Entry", _ROOT)]
    _list(storage, entries[0], entries)
    streams = [entry for entry in entries if entry.kind == _STREAM and entry.data]
    small = [entry for entry in streams if len(entry.data) < _SMALL_STREAM]
    large = [entry for entry in streams if len(entry.data) >= _SMALL_STREAM]
    small_fat: list[int] = []
    for entry in small:
        entry.start = len(small_fat)
        small_fat += _chain(entry.start, len(entry.data), _SMALL_SECTOR)
    entries[0].data = b"".join(_padded(entry.data, _SMALL_SECTOR) for entry in small)

    packed_small_fat = _words(small_fat)
    sizes = [len(entries) * 128, len(packed_small_fat), len(entries[0].data)]
    sizes += [len(entry.data) for entry in large]
    count = sum(-(-size // _SECTOR) for size in sizes)
    # The sectors of the table are listed in the table: 127 words of a sector are for others.
    table_sectors = -(-count // (_SECTOR // 4 - 1))
    fat = [_FAT_SECTOR] * table_sectors
    starts = []
    for size in sizes:
        starts.append(len(fat) if size else _END)
        fat += _chain(len(fat), size, _SECTOR)
    entries[0].start = starts[2]
    for entry, start in zip(large, starts[3:], strict=True):
        entry.start = start
    directory = b"".join(entry.pack() for entry in entries)
    parts = [_words(fat), directory, packed_small_fat, entries[0].data]
    parts += [entry.data for entry in large]
    header = struct.pack(
        "<8s16x5H6x9I",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        *(0x3E, 3, 0xFFFE, 9, 6),  # version, byte order, sizes of sectors as powers of two
        *(0, table_sectors, starts[0], 0, _SMALL_STREAM),
        *(starts[1], len(packed_small_fat) // _SECTOR, _END, 0),
    )
    table = [*range(table_sectors), *[_NONE] * (109 - table_sectors)]
    return header + struct.pack("<109I", *table) + b"".join(_padded(p, _SECTOR) for p in parts)


def _list(storage: Storage, parent: _Entry, entries: list[_Entry]) -> None:
    numbers = []
    # The order of the search tree that the names of a storage make up.
    for name, content in sorted(storage.items(), key=lambda item: (len(item[0]), item[0].upper())):
        numbers.append(len(entries))
        if isinstance(content, bytes):
            entries.append(_Entry(name, _STREAM, content))
        else:
            entries.append(_Entry(name, _STORAGE))
            _list(content, entries[-1], entries)
    parent.child = _tree(numbers, entries)


def _tree(numbers: Sequence[int], entries: Sequence[_Entry]) -> int:
    if not numbers:
        return _NONE
    middle = len(numbers) // 2
    entry = entries[numbers[middle]]
    entry.left = _tree(numbers[:middle], entries)
    entry.right = _tree(numbers[middle + 1 :], entries)
    return numbers[middle]


def _chain(start: int, size: int, sector: int) -> list[int]:
    """Table entries for consecutive sectors: each names the next."""
    count = -(-size // sector)
    return [*range(start + 1, start + count), _END] if count else []


def _words(table: Sequence[int]) -> bytes:
    padding = -len(table) % (_SECTOR // 4)
    return struct.pack(f"<{len(table) + padding}I", *table, *[_NONE] * padding)


def _padded(data: bytes, size: int) -> bytes:
    return data + bytes(-len(data) % size)
