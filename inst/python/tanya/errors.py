"""Every error that the engine raises on purpose.

Each class carries a stable ``code``. The bridge sends the code to R, where it becomes the
condition class ``tanya_error_<code>``, so a code is public API: add, never rename.

::

    TanyaError                    error
    ├── InvalidArgument           invalid_argument
    ├── FileMissing               file_not_found
    ├── DocumentError             document
    │   ├── DocumentEncrypted     document_encrypted
    │   ├── DocumentEmpty         document_empty
    │   ├── DocumentNeedsOcr      document_needs_ocr
    │   ├── DocumentDamaged       document_damaged
    │   ├── DocumentUnsupported   document_unsupported
    │   ├── DocumentTooLarge      document_too_large
    │   └── DocumentTimeout       document_timeout
    ├── ModelError                model
    │   ├── ModelUnavailable      model_unavailable
    │   ├── ModelInvalid          model_invalid
    │   └── ModelMismatch         model_mismatch
    ├── IndexError_               index
    │   ├── IndexMissing          index_not_found
    │   ├── IndexDamaged          index_damaged
    │   ├── IndexTooNew           index_too_new
    │   ├── IndexFull             index_full
    │   ├── IndexLocked           index_locked
    │   └── IndexReadOnly         index_read_only
    ├── QuestionTooLong           question_too_long
    └── MissingDependency         missing_dependency
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "DocumentDamaged",
    "DocumentEmpty",
    "DocumentEncrypted",
    "DocumentError",
    "DocumentNeedsOcr",
    "DocumentTimeout",
    "DocumentTooLarge",
    "DocumentUnsupported",
    "FileMissing",
    "IndexDamaged",
    "IndexError_",
    "IndexFull",
    "IndexLocked",
    "IndexMissing",
    "IndexReadOnly",
    "IndexTooNew",
    "InvalidArgument",
    "MissingDependency",
    "ModelError",
    "ModelInvalid",
    "ModelMismatch",
    "ModelUnavailable",
    "QuestionTooLong",
    "TanyaError",
]


class TanyaError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What went wrong, one sentence, sentence case, no final newline.
        hint: The way out, or "" where there is none to offer.
        details: Facts for programs, as plain strings, numbers or lists of them.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "", **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class InvalidArgument(TanyaError):
    """An argument has a value that makes no sense here."""

    code = "invalid_argument"


class FileMissing(TanyaError):
    """A path that was asked for does not exist. Paths are never indexed as text."""

    code = "file_not_found"


class DocumentError(TanyaError):
    """A document gave no text. Indexing reports it as a row and goes on."""

    code = "document"

    @property
    def status(self) -> str:
        """The status that the documents table shows, such as ``"needs_ocr"``."""
        return self.code.removeprefix("document_") if self.code != "document" else "failed"


class DocumentEncrypted(DocumentError):
    """The file asks for a password."""

    code = "document_encrypted"


class DocumentEmpty(DocumentError):
    """The file holds no text at all."""

    code = "document_empty"


class DocumentNeedsOcr(DocumentError):
    """The file holds pictures of text only."""

    code = "document_needs_ocr"


class DocumentDamaged(DocumentError):
    """The file is truncated or not what its name says."""

    code = "document_damaged"


class DocumentUnsupported(DocumentError):
    """No converter reads this kind of file."""

    code = "document_unsupported"


class DocumentTooLarge(DocumentError):
    """The file, or what it unpacks to, is over the limit."""

    code = "document_too_large"


class DocumentTimeout(DocumentError):
    """Converting the file took longer than the limit."""

    code = "document_timeout"


class ModelError(TanyaError):
    """Base of the errors about models."""

    code = "model"


class ModelUnavailable(ModelError):
    """No source has the model. ``details["tried"]`` lists each source and why it failed."""

    code = "model_unavailable"


class ModelInvalid(ModelError):
    """The files are there but are not a usable model of the wanted kind."""

    code = "model_invalid"


class ModelMismatch(ModelError):
    """The index was made with another embedding model, or other settings of it."""

    code = "model_mismatch"


class IndexError_(TanyaError):
    """Base of the errors about an index on disk."""

    code = "index"


class IndexMissing(IndexError_):
    """There is no index at the path."""

    code = "index_not_found"


class IndexDamaged(IndexError_):
    """A file of the index is missing, short or altered; the message names it."""

    code = "index_damaged"


class IndexTooNew(IndexError_):
    """The index was written by a newer version of the format."""

    code = "index_too_new"


class IndexFull(IndexError_):
    """The disk of the index has no room left, or fails."""

    code = "index_full"


class IndexLocked(IndexError_):
    """Another process is writing to the index."""

    code = "index_locked"


class IndexReadOnly(IndexError_):
    """The index cannot be written to."""

    code = "index_read_only"


class QuestionTooLong(TanyaError):
    """A question leaves no room for a passage in the reader's window."""

    code = "question_too_long"


class MissingDependency(TanyaError):
    """An optional Python package or program is needed for this call."""

    code = "missing_dependency"
