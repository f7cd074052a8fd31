"""Outlook messages (MSG), by python-oxmsg."""

from __future__ import annotations

import io

from oxmsg import Message
from oxmsg.attachment import Attachment as OutlookAttachment
from oxmsg.domain.constants import PID_DISPLAY_NAME
from oxmsg.recipient import Recipient

from tanya.documents.content import Attachment, Content, Input, clean
from tanya.documents.html import convert_string
from tanya.documents.mail import add_message, decoded_header
from tanya.errors import DocumentUnsupported

__all__ = ["convert"]


def convert(file: Input) -> Content:
    """Convert an Outlook message."""
    message = Message.load(io.BytesIO(file.data))
    sent = message.sent_date
    headers = {
        "From": decoded_header(message.sender or ""),
        "To": "; ".join(filter(None, map(_address, message.recipients))),
        "Date": sent.strftime("%Y-%m-%d %H:%M") if sent is not None else "",
        "Subject": message.subject or "",
    }
    attachments = tuple(
        _attachment(attachment, number) for number, attachment in enumerate(message.attachments, 1)
    )
    return add_message(headers, _body(message), attachments, 0)


def _address(recipient: Recipient) -> str:
    name, address = recipient.name.strip(), recipient.email_address.strip()
    return f"{name} <{address}>" if name and address and name != address else name or address


def _body(message: Message) -> Content:
    if message.body and message.body.strip():
        return Content(clean(message.body).strip())
    if message.html_body:
        return convert_string(message.html_body)
    return Content("")


def _attachment(attachment: OutlookAttachment, number: int) -> Attachment:
    shown = attachment.properties.str_prop_value(PID_DISPLAY_NAME)
    data = attachment.file_bytes
    name = attachment.file_name or shown or f"attachment-{number}"
    return Attachment(name, _refuse) if data is None else Attachment.of(name, data)


def _refuse() -> bytes:
    raise DocumentUnsupported(
        "The attachment is not kept as a file: it is a message, an object or a link.",
        hint="If it is a message, save it as a file of its own.",
    )
