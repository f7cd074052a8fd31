"""XML and zip packages from strangers: nothing is fetched, expanded or unpacked past a limit."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from lxml import etree

from tanya.documents.content import Input, ReadOptions
from tanya.errors import DocumentDamaged, DocumentEncrypted, DocumentTooLarge

__all__ = ["Package", "parse_xml"]


def parse_xml(data: bytes) -> Any:
    """Parse XML to its root element. Entities stay unexpanded and no address is opened.

    Raises:
        DocumentDamaged: The bytes are no well-formed XML, or nest deeper than any document does.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise DocumentDamaged(f"The XML inside the file is damaged: {error.msg}.") from error
    if root is None:
        raise DocumentDamaged("The XML inside the file is empty.")
    return root


class Package:
    """A zip file whose members are read under the limits of ``ReadOptions``.

    Raises:
        DocumentDamaged: The zip's directory cannot be read.
        DocumentTooLarge: The members are too many, or say that they unpack to too much.
    """

    def __init__(self, file: Input) -> None:
        self._options: ReadOptions = file.options
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(file.data))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise DocumentDamaged(
                "The file is truncated or damaged: its zip directory cannot be read."
            ) from error
        members = [info for info in self._zip.infolist() if not info.is_dir()]
        if len(members) > file.options.max_members:
            raise DocumentTooLarge(f"The file holds {len(members)} members.")
        if sum(info.file_size for info in members) > file.options.max_unpacked:
            raise DocumentTooLarge("The file unpacks to more than the limit.")
        self._members = {info.filename: info for info in members}
        self._left = file.options.max_unpacked

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def names(self) -> list[str]:
        """Names of the members, in the order of the zip's directory."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """Unpack one member.

        Raises:
            DocumentDamaged: It is missing or broken.
            DocumentEncrypted: It asks for a password.
            DocumentTooLarge: It is over the limit, whatever the zip's directory claims.
        """
        info = self._members.get(name)
        if info is None:
            raise DocumentDamaged(f"The file is incomplete: it has no {name}.")
        if info.flag_bits & 0x1:
            raise DocumentEncrypted("The file asks for a password.")
        limit = min(self._left, self._options.max_bytes)
        try:
            with self._zip.open(info) as member:
                data = member.read(limit + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            ValueError,
        ) as error:
            raise DocumentDamaged(f"A part of the file is damaged: {name}.") from error
        if len(data) > limit:
            raise DocumentTooLarge(f"{name} unpacks to more than the limit.")
        self._left -= len(data)
        return data

    def xml(self, name: str) -> Any:
        """Unpack one member and parse it as XML."""
        return parse_xml(self.read(name))

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """Relations of an OOXML part: id to (last word of the type, target inside the zip)."""
        folder, _, base = name.rpartition("/")
        path = f"{folder}/_rels/{base}.rels".lstrip("/")
        if path not in self._members:
            return {}
        found = {}
        for relation in self.xml(path).iter("{*}Relationship"):
            target = relation.get("Target", "")
            if relation.get("TargetMode") != "External":
                target = _resolve(folder, target)
            found[relation.get("Id", "")] = (relation.get("Type", "").rpartition("/")[2], target)
        return found

    def main_part(self, usual: str) -> str:
        """The part of an OOXML file that the others hang from."""
        targets = (
            target
            for kind, target in self.relations("").values()
            if kind == "officeDocument" and target in self._members
        )
        return next(targets, usual)

    def title(self) -> str:
        """Title of an OOXML file, or ""."""
        for kind, target in self.relations("").values():
            if kind == "core-properties" and target in self._members:
                return self.xml(target).findtext("{*}title") or ""
        return ""


def _resolve(folder: str, target: str) -> str:
    if target.startswith("/"):
        return target[1:]
    parts = folder.split("/") if folder else []
    for part in _steps(target):
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)


def _steps(target: str) -> Iterator[str]:
    return (part for part in target.split("/") if part not in ("", "."))
