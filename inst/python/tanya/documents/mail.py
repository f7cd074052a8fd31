"""E-mail (RFC 5322, MIME) and mailboxes: header, body, and attachments as documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from functools import partial

from tanya.documents.content import Attachment, Content, Input, TextBuilder, clean
from tanya.documents.decoding import decode
from tanya.documents.html import convert_string

__all__ = ["add_message", "convert", "convert_mailbox", "decoded_header"]

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_ENVELOPE = re.compile(rb"^From .*\r?\n", re.MULTILINE)
_MAX_PARTS_DEPTH = 30


def convert(file: Input) -> Content:
    """Convert a message; a plain body is preferred to the same body in HTML."""
    message = message_from_bytes(
        _ENVELOPE.sub(b"", file.data, count=1) if file.data.startswith(b"From ") else file.data
    )
    headers = {name: _header(message, name) for name in _HEADERS}
    body, attachments, pictures = _parts(message)
    return add_message(headers, body, tuple(attachments), pictures)


def add_message(
    headers: dict[str, str], body: Content, attachments: tuple[Attachment, ...], pictures: int
) -> Content:
    """Put a message together.

    Args:
        headers: Name to value, blank where the message has none.
        body: The body, converted.
        attachments: Files that came with it.
        pictures: Number of pictures shown inside the body.
    """
    builder = TextBuilder()
    for name, value in headers.items():
        builder.line(f"{name}: {value}" if value.strip() else "")
    builder.splice(body)
    notes = [body.message]
    if pictures:
        notes.append(f"{pictures} picture(s) inside the message were not read.")
    return builder.finish(
        title=headers.get("Subject", ""),
        message=" ".join(filter(None, notes)),
        attachments=attachments,
    )


def convert_mailbox(file: Input) -> Content:
    """Convert a mailbox in the mbox format: each message is a document of its own."""
    data = file.data
    starts = [
        match.start()
        for match in _ENVELOPE.finditer(data)
        if match.start() == 0
        or data[max(0, match.start() - 4) : match.start()].endswith((b"\n\n", b"\n\r\n"))
    ]
    if not starts:
        return convert(file)
    ends = [*starts[1:], len(data)]
    return Content(
        "",
        attachments=tuple(
            Attachment(f"message-{number}.eml", partial(_slice, data, start, end))
            for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
        ),
    )


def _slice(data: bytes, start: int, end: int) -> bytes:
    return data[start:end]


def _header(message: Message, name: str) -> str:
    value = message.get(name)
    if value is None:
        return ""
    return decoded_header(str(value))


def decoded_header(raw: str) -> str:
    """A header's value with its encoded words (RFC 2047) decoded."""
    try:
        text = str(make_header(decode_header(raw)))
    except (LookupError, ValueError):  # an encoding that nobody knows
        text = raw
    return " ".join(clean(text).split())


def _parts(message: Message) -> tuple[Content, list[Attachment], int]:
    """Body, attachments and the number of pictures inside the body."""
    bodies: list[Content] = []
    attachments: list[Attachment] = []
    pictures = 0
    for part in _leaves(message):
        kind = part.get_content_type()
        name = _file_name(part)
        disposition = str(part.get("Content-Disposition", "")).strip().lower()
        is_attached = disposition.startswith("attachment") or bool(name)
        if kind == "message/rfc822":
            attachments.append(_attached_message(part, name, len(attachments) + 1))
        elif (
            kind.startswith("image/")
            and part.get("Content-ID")
            and not disposition.startswith("attachment")
        ):
            pictures += 1
        elif is_attached or not kind.startswith("text/"):
            fallback = f"attachment-{len(attachments) + 1}.{part.get_content_subtype()}"
            attachments.append(Attachment.of(name or fallback, _payload(part)))
        else:
            bodies.append(_body(part, kind))
    builder = TextBuilder()
    for body in bodies:
        builder.splice(body)
    notes = dict.fromkeys(body.message for body in bodies if body.message)
    return builder.finish(message=" ".join(notes)), attachments, pictures


def _leaves(message: Message) -> Iterator[Message]:
    """Parts that are no containers; of alternatives only the plainest that is not blank."""
    stack = [(message, 0)]
    while stack:
        part, depth = stack.pop()
        children = part.get_payload() if part.is_multipart() else None
        if not isinstance(children, list) or part.get_content_type() == "message/rfc822":
            yield part
        elif depth < _MAX_PARTS_DEPTH:
            chosen = [child for child in children if isinstance(child, Message)]
            if part.get_content_type() == "multipart/alternative":
                chosen = _alternative(chosen)
            stack.extend((child, depth + 1) for child in reversed(chosen))


def _alternative(parts: list[Message]) -> list[Message]:
    for part in parts:
        if part.get_content_type() == "text/plain" and _payload(part).strip():
            return [part]
    return parts[-1:]


def _body(part: Message, kind: str) -> Content:
    decoded = decode(_payload(part), str(part.get_content_charset() or ""))
    if kind == "text/html":
        return convert_string(decoded.text)
    return Content(clean(decoded.text).strip(), message=decoded.message)


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _file_name(part: Message) -> str:
    try:
        return decoded_header(part.get_filename() or "")
    except (LookupError, ValueError):
        return ""


def _attached_message(part: Message, name: str, number: int) -> Attachment:
    children = part.get_payload()
    inner = children[0] if isinstance(children, list) and children else None
    data = inner.as_bytes() if isinstance(inner, Message) else b""
    base = name or f"message-{number}"
    return Attachment.of(base if base.lower().endswith(".eml") else f"{base}.eml", data)
