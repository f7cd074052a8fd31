"""Outlook messages (MSG), by python-oxmsg."""

from __future__ import annotations

import io

from oxmsg import Message
from oxmsg.attachment import Attachment as OutlookAttachment
from oxmsg.recipient import Recipient

from tanya.documents.content import Attachment, Content, Input, clean
from tanya.documents.html import convert_string
from tanya.documents.mail import add_message, decoded_header

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
    name = attachment.file_name or f"attachment-{number}"
    return Attachment.of(name, attachment.file_bytes or b"")
