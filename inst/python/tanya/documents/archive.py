"""Zip and gzip: each file inside is a document of its own."""

from __future__ import annotations

import gzip
import io
import zlib
from functools import partial

from tanya.documents.content import Attachment, Content, Input
from tanya.documents.xml import Package
from tanya.errors import DocumentDamaged, DocumentTooLarge
from tanya.sources import is_junk

__all__ = ["convert_gzip", "convert_zip"]


def convert_zip(file: Input) -> Content:
    """List the files in a zip; each is unpacked when its turn comes."""
    package = Package(file)
    return Content(
        "",
        attachments=tuple(
            Attachment(name, partial(package.read, name))
            for name in package.names()
            if not any(is_junk(part) for part in name.split("/") if part.strip("."))
        ),
    )


def convert_gzip(file: Input) -> Content:
    """Unpack a gzip file.

    Raises:
        DocumentDamaged: It is truncated or damaged.
        DocumentTooLarge: It unpacks to more than the limit.
    """
    limit = file.options.max_bytes
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(file.data)) as packed:
            data = packed.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DocumentDamaged("The gzip file is truncated or damaged.") from error
    if len(data) > limit:
        raise DocumentTooLarge("The gzip file unpacks to more than the limit.")
    name = file.name.rpartition("/")[2]
    inner = name[:-3] if name.lower().endswith(".gz") else f"{name}.txt"
    return Content("", attachments=(Attachment.of(inner, data),))
