"""An index together with its models: what a program, or the bridge to R, works with.

>>> index = Index.create(Path("rules.tanya"), Models("intfloat/multilingual-e5-small", ...))
>>> index.add(from_paths(["rules"]))
>>> index.ask(["Berapa hari cuti tahunan?"])
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tanya.answering import ASKED_THRESHOLD, Answer, Evidence, answer, explain
from tanya.documents import ReadOptions, file_hash, read
from tanya.documents.registry import suffix_of
from tanya.errors import FileMissing, InvalidArgument
from tanya.models import load_embedder, load_reader, preset
from tanya.passages import PassageSettings, split
from tanya.reading import Calibration
from tanya.retrieval import Hit, Search, retrieve, similar
from tanya.sources import from_paths, readable
from tanya.store import EmbeddedStore, Manifest, passage_key, repair
from tanya.types import (
    DEFAULT_PRECISION,
    Document,
    Failure,
    Passage,
    Precision,
    Progress,
    Source,
    content_hash,
    in_context,
)

if TYPE_CHECKING:
    from tanya.embedding import Embedder
    from tanya.reading import Reader
    from tanya.store import Finding, Floats, Rebuild, Waiting, Writer

__all__ = ["Change", "Index", "Models"]

EMBED_AT_ONCE = 512
"""Passages gathered before they are embedded: enough to sort by length, little to hold."""

REPAIR_WAIT = 60.0
"""Seconds to wait for another writer before a repair."""


@dataclass(frozen=True, slots=True)
class Models:
    """The two models of an index, each a hub id, a directory, or a bundled name.

    Attributes:
        embedder: Makes the vectors.
        reader: Finds the answers.
        precision: Of both, see ``types.Precision``.
    """

    embedder: str
    reader: str
    precision: Precision = DEFAULT_PRECISION


@dataclass(frozen=True, slots=True)
class Change:
    """What happened, or in a dry run would happen, to one document.

    Attributes:
        document: Its id.
        change: ``"new"``, ``"changed"``, ``"unchanged"``, ``"failed"`` or ``"gone"``.
        status: Status of its row in the index.
        message: What a person should know, or "".
    """

    document: str
    change: str
    status: str = "indexed"
    message: str = ""


class Index:
    """A store, the models that made it, and everything that can be asked of both.

    Models are loaded at the first call that needs them.

    Args:
        store: The documents.
        models: The embedder that made the vectors, and the reader.

    Attributes:
        on_wait: Told, in words, when another process is writing and we wait for it.
    """

    def __init__(self, store: EmbeddedStore, models: Models) -> None:
        self.store = store
        self.models = models
        self.on_wait: Waiting | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        models: Models,
        passages: PassageSettings | None = None,
        language: str = "indonesian",
    ) -> Index:
        """Make an empty index in a new or empty directory."""
        embedder = load_embedder(models.embedder, precision=models.precision)
        manifest = _manifest(embedder, passages, language)
        return cls(EmbeddedStore.create(path, manifest, {"models": asdict(models)}), models)

    @classmethod
    def open(cls, path: Path) -> Index:
        """Open an index.

        Raises:
            IndexMissing: There is none at the path.
            IndexTooNew: A newer version of tanya wrote it.
            IndexDamaged: A file of it is missing, short or altered.
        """
        store = EmbeddedStore.open(path)
        embedder = store.manifest.embedder
        # A repair drops a damaged setting: then the reader is the one that comes with tanya.
        lost = {"embedder": embedder["model"], "reader": preset("compact").reader.id}
        names = cast("Mapping[str, Any]", store.setting("models") or lost)
        # What the vectors are is said by the manifest alone.
        return cls(store, Models(**{**names, "precision": embedder["precision"]}))

    def expect(
        self,
        models: Models,
        passages: PassageSettings | None = None,
        language: str | None = None,
    ) -> None:
        """Make sure that the index works as the caller thinks; another reader is just taken.

        Raises:
            ModelMismatch: The index was made with another embedder, or precision.
            InvalidArgument: It was made with other passage settings or for another language.
        """
        made = self.store.manifest
        if replace(models, reader=self.models.reader) != self.models:
            embedder = load_embedder(models.embedder, precision=models.precision)
            self.store.require(_manifest(embedder, passages, made.language))
        for name, mine, wanted in (
            ("passages", self.passage_settings, passages),
            ("language", made.language, language),
        ):
            if wanted is not None and wanted != mine:
                raise InvalidArgument(
                    f"The index was made with {name} = {mine!r}, not {wanted!r}.",
                    hint=f'Leave {name} out, or make all passages anew with update = "rebuild".',
                )
        if models.reader != self.models.reader:
            self.set_reader(models.reader)

    @property
    def embedder(self) -> Embedder:
        """The embedding model that made the vectors.

        Raises:
            ModelMismatch: What is installed under its name makes other vectors.
        """
        wanted = self.store.manifest
        embedder = load_embedder(
            self.models.embedder,
            sha256=str(wanted.embedder["sha256"]),
            precision=self.models.precision,
        )
        found = replace(wanted, embedder=embedder.fingerprint.to_dict())
        self.store.require(found)
        return embedder

    @property
    def reader(self) -> Reader:
        """The reader, calibrated for this index where ``set_calibration`` was called.

        Its threshold is that for asking a collection of documents (see ``ASKED_THRESHOLD``).
        """
        reader = load_reader(self.models.reader, self.embedder)
        fitted = cast("Mapping[str, float] | None", self.store.setting("calibration"))
        own = replace(reader.settings.calibration, threshold=ASKED_THRESHOLD)
        return reader.with_calibration(Calibration(**fitted) if fitted else own)

    @property
    def passage_settings(self) -> PassageSettings:
        """How documents are cut."""
        return PassageSettings(**cast("Mapping[str, int]", self.store.manifest.passages))

    def set_reader(self, name: str) -> None:
        """Read with another model from now on; its own calibration replaces a fitted one."""
        load_reader(name, self.embedder)
        self.models = replace(self.models, reader=name)
        with self.store.writer(on_wait=self.on_wait) as writer:
            writer.set_setting("models", asdict(self.models))
            writer.set_setting("calibration", None)

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Score and decline with these figures from now on; None for the reader's own."""
        with self.store.writer(on_wait=self.on_wait) as writer:
            writer.set_setting("calibration", calibration and asdict(calibration))

    def add(
        self,
        sources: Sequence[Source],
        *,
        options: ReadOptions | None = None,
        progress: Progress | None = None,
    ) -> list[Change]:
        """Index what is new or changed; leave what is not.

        Args:
            sources: Files and texts.
            options: Limits of the conversion.
            progress: Called with ("hash", ...), ("convert", ...) in sources and ("embed", ...)
                in passages.

        Returns:
            One row for each document, in the order of the sources. A document that gave no text
            has the change ``"failed"``; it does not stop the others.
        """
        embedder, settings = self.embedder, self.passage_settings
        changes: dict[str, Change] = {}
        with self.store.writer(on_wait=self.on_wait) as writer:
            before = self.store.hashes()
            held = self._held(before, sources)
            again = self._partly_read(options) | self._moved(held, sources)
            fresh: list[Source] = []
            for done, source in enumerate(sources, start=1):
                if _is_unchanged(source, held[source.id]) and again.isdisjoint(held[source.id]):
                    changes.update((id, Change(id, "unchanged")) for id in held[source.id])
                else:
                    fresh.append(source)
                _report(progress, "compare", done, len(sources))
            stale = {id for source in fresh for id in held[source.id]}
            items = read(fresh, options=options, progress=progress)
            for item in _indexed(items, writer, embedder, settings, progress):
                stale.discard(item.id)
                changes[item.id] = _change(item, before)
            writer.remove(sorted(stale))
        for row in self.store.documents(
            [id for id, c in changes.items() if c.change == "unchanged"]
        ):
            changes[row.id] = Change(row.id, "unchanged", row.status, row.message)
        in_order = _at_or_below(dict.fromkeys(changes, ""), sources)
        return [changes[id] for source in sources for id in in_order[source.id]]

    def _held(
        self, hashes: Mapping[str, str], sources: Sequence[Source]
    ) -> dict[str, dict[str, str]]:
        """Hashes of the documents in the index that come from each source, by their ids.

        A container file, such as an archive or a mail, has documents below its own id, with its
        path. The path of others there, such as a text named ``file/12``, is another or none.
        """
        held = _at_or_below(hashes, sources)
        below = [id for source, ids in held.items() for id in ids if id != source]
        names = {row.id: _file_name(row.path) for row in self.store.documents(below)}
        return {
            source: {
                id: hash
                for id, hash in ids.items()
                if names.get(id) == Path(source).name or id == source
            }
            for source, ids in held.items()
        }

    def _partly_read(self, options: ReadOptions | None) -> set[str]:
        """Documents with less text than they might give with these options.

        Their files have not changed, but what can read them has: OCR was off, or the caller had
        no converter of his own.
        """
        if options is None or not (options.ocr or options.custom):
            return set()
        return {
            row.id
            for row in self.store.documents()
            if row.path and row.message and (options.ocr or suffix_of(row.path) in options.custom)
        }

    def _moved(self, held: Mapping[str, Mapping[str, str]], sources: Sequence[Source]) -> set[str]:
        """Documents whose file is now at another path. Only their texts are read again."""
        paths = {source.id: str(source.path or "") for source in sources}
        rows = self.store.documents([id for ids in held.values() for id in ids])
        return {row.id for row in rows if paths.get(row.id, row.path) != row.path}

    def _files(self, folder: Path) -> list[Source]:
        """The files of a folder, under the ids that they have in the index.

        A file that is new, and has the name of a document from elsewhere, gets the folder's name
        before its own.

        Raises:
            FileMissing: There is no such folder.
        """
        if not folder.is_dir():
            raise FileMissing(f"There is no folder {str(folder)!r}.", path=str(folder))
        rows = {row.id: row for row in self.store.documents()}
        # What a container holds has its path as well, and another name.
        known = {
            row.path: row.id
            for row in rows.values()
            if row.path and row.id.endswith(_file_name(row.path))
        }
        sources = []
        for source in from_paths([folder]):
            id, other = known.get(str(source.path)), rows.get(source.id)
            if id is None and other is not None and _is_elsewhere(other.path, folder):
                id = f"{folder.resolve().name}/{source.id}"
            sources.append(replace(source, id=id or source.id))
        return sources

    def compare(self, folder: Path, *, options: ReadOptions | None = None) -> list[Change]:
        """What ``sync`` would do with these options, without doing it."""
        sources = self._files(folder)
        held = self._held(self.store.hashes(), sources)
        again = self._partly_read(options) | self._moved(held, sources)
        changes = []
        for source in sources:
            if _is_unchanged(source, held[source.id]) and again.isdisjoint(held[source.id]):
                rows = self.store.documents(list(held[source.id]))
                changes += [Change(row.id, "unchanged", row.status, row.message) for row in rows]
            else:
                changes.append(Change(source.id, "changed" if held[source.id] else "new", ""))
        return changes + self._gone(folder, held)

    def _gone(self, folder: Path, held: Mapping[str, Mapping[str, str]]) -> list[Change]:
        """Documents of a folder that none of its files holds any more."""
        present = {id for ids in held.values() for id in ids}
        return [
            Change(row.id, "gone", row.status)
            for row in self.store.documents()
            if row.id not in present and _is_below(row.path, folder)
        ]

    def sync(
        self,
        folder: Path,
        *,
        options: ReadOptions | None = None,
        progress: Progress | None = None,
    ) -> list[Change]:
        """Make the index follow a folder: add, update, and forget what was deleted there.

        Documents from elsewhere stay. The folder itself is only read.

        Returns:
            As ``add``, and a row with the change ``"gone"`` for each document whose file was
            deleted.
        """
        sources = self._files(folder)
        gone = self._gone(folder, self._held(self.store.hashes(), sources))
        changes = self.add(sources, options=options, progress=progress)
        self.remove([change.document for change in gone])
        return changes + gone

    def remove(self, documents: Sequence[str]) -> int:
        """Remove documents; ids that are not there are left out. Returns how many were."""
        with self.store.writer(on_wait=self.on_wait) as writer:
            return writer.remove(documents)

    def rebuild(
        self,
        models: Models,
        passages: PassageSettings | None = None,
        language: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Cut and embed all documents anew, with other models or settings.

        The old passages answer until all new ones are there. An interrupted rebuild goes on
        where it was when it is called again with the same models.
        """
        embedder = load_embedder(models.embedder, precision=models.precision)
        settings = passages or self.passage_settings
        manifest = _manifest(embedder, settings, language or self.store.manifest.language)
        with self.store.rebuild(manifest, on_wait=self.on_wait) as rebuild:
            pending = rebuild.pending()
            for done, id in enumerate(pending, start=1):
                cut = split(self._document(id), settings, embedder.token_offsets)
                rebuild.put(id, cut, _vectors(cut, rebuild, embedder))
                _report(progress, "rebuild", done, len(pending))
            rebuild.finish()
        self.models = models
        with self.store.writer(on_wait=self.on_wait) as writer:
            writer.set_setting("models", asdict(models))

    @staticmethod
    def repair(path: Path) -> list[Finding]:
        """Put right what can be, also in an index that does not open any more.

        Documents whose text is there but whose passages were lost are cut and embedded anew.
        """
        findings = repair(path, REPAIR_WAIT)
        index = Index.open(path)
        try:
            index._restore()
        finally:
            index.store.close()
        return findings

    def _restore(self) -> None:
        with self.store.writer(on_wait=self.on_wait) as writer:
            for id in writer.pending():
                cut = split(self._document(id), self.passage_settings, self.embedder.token_offsets)
                writer.restore(id, cut, _vectors(cut, writer, self.embedder))

    def _document(self, id: str) -> Document:
        """A stored document as its conversion gave it."""
        [row] = self.store.documents([id])
        return Document(
            id=id,
            text=self.store.text(id),
            type=row.type,
            hash=row.hash,
            title=row.title,
            places=tuple(self.store.places(id)),
        )

    def retrieve(self, questions: Sequence[str], search: Search | None = None) -> list[list[Hit]]:
        """The best passages for each question (see ``retrieval.retrieve``)."""
        return retrieve(self.store, self.embedder, questions, search or Search())

    def similar(self, texts: Sequence[str], search: Search | None = None) -> list[list[Hit]]:
        """The passages most like each text (see ``retrieval.similar``)."""
        return similar(self.store, self.embedder, texts, search or Search())

    def ask(
        self,
        questions: Sequence[str],
        search: Search | None = None,
        *,
        n: int = 1,
        threshold: float | None = None,
        progress: Progress | None = None,
    ) -> list[list[Answer]]:
        """Up to n answers to each question (see ``answering.answer``)."""
        return answer(
            self.store,
            self.embedder,
            self.reader,
            questions,
            search or Search(),
            n=n,
            threshold=threshold,
            progress=progress,
        )

    def vectors(self, passages: Sequence[int]) -> Floats:
        """Embeddings of passages by their ids, (n, d)."""
        # The cosines with the axes of the space are the coordinates in it.
        axes = np.eye(self.store.manifest.dimension, dtype=np.float32)
        return np.ascontiguousarray(self.store.cosines(axes, np.asarray(passages, np.int64)).T)

    def explain(self, question: str, search: Search | None = None) -> list[Evidence]:
        """What the answer to a question was chosen from (see ``answering.explain``)."""
        return explain(self.store, self.embedder, self.reader, question, search or Search())


def _manifest(embedder: Embedder, passages: PassageSettings | None, language: str) -> Manifest:
    # A quarter of the embedder's window is left for its prompt and the passage's context.
    fitting = min(PassageSettings().tokens, embedder.max_tokens * 3 // 4)
    return Manifest(
        embedder=embedder.fingerprint.to_dict(),
        passages=asdict(passages or PassageSettings(tokens=fitting)),
        dimension=embedder.dimension,
        language=language,
    )


def _at_or_below(hashes: Mapping[str, str], sources: Sequence[Source]) -> dict[str, dict[str, str]]:
    """Hashes of the documents that have the id of each source, or one below that of a file."""
    held: dict[str, dict[str, str]] = {source.id: {} for source in sources}
    files = {source.id for source in sources if source.path is not None}
    for id, known in hashes.items():
        if id in held:
            held[id][id] = known
            continue
        parts = id.split("/")
        above = ("/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
        container = next((other for other in above if other in files), None)
        if container is not None:
            held[container][id] = known
    return held


def _file_name(path: str) -> str:
    """How the id of a document from a file at this path ends."""
    return readable(Path(path).name)


def _is_below(path: str, folder: Path) -> bool:
    """Whether a document's file is, or was, in a folder, by whatever links both are reached."""
    if not path:
        return False
    file, top = Path(path), Path(os.path.abspath(folder))  # noqa: PTH100 (keeps links)
    files = (file, file.parent.resolve() / file.name)
    return any(one.is_relative_to(root) for one in files for root in (top, folder.resolve()))


def _is_elsewhere(path: str, folder: Path) -> bool:
    """Whether a document is no file, or one that is there and not in a folder."""
    return not path or (not _is_below(path, folder) and Path(path).exists())


def _is_unchanged(source: Source, held: Mapping[str, str]) -> bool:
    """Whether the index holds the source as it is now."""
    if not held:
        return False
    if source.path is None:
        return set(held.values()) == {content_hash(source.text or "", source.metadata)}
    try:
        return set(held.values()) == {file_hash(source.path)}
    except OSError:
        return False  # The conversion says what is wrong with the file.


def _change(item: Document | Failure, before: Mapping[str, str]) -> Change:
    if isinstance(item, Failure):
        return Change(item.id, "failed", item.status, item.message)
    return Change(item.id, "changed" if item.id in before else "new", message=item.message)


def _indexed(
    items: Iterable[Document | Failure],
    writer: Writer,
    embedder: Embedder,
    settings: PassageSettings,
    progress: Progress | None,
) -> Iterator[Document | Failure]:
    """Store each item and hand it on; documents are embedded many passages at a time."""
    waiting: list[tuple[Document, list[Passage]]] = []
    for item in items:
        if isinstance(item, Failure):
            writer.put_failure(item)
            yield item
            continue
        waiting.append((item, split(item, settings, embedder.token_offsets)))
        if sum(len(passages) for _, passages in waiting) >= EMBED_AT_ONCE:
            yield from _stored(waiting, writer, embedder, progress)
            waiting = []
    yield from _stored(waiting, writer, embedder, progress)


def _stored(
    waiting: Sequence[tuple[Document, list[Passage]]],
    writer: Writer,
    embedder: Embedder,
    progress: Progress | None,
) -> Iterator[Document]:
    passages = [passage for _, cut in waiting for passage in cut]
    vectors = _vectors(passages, writer, embedder, progress)
    first = 0
    for document, cut in waiting:
        writer.put(document, cut, vectors[first : first + len(cut)])
        first += len(cut)
        yield document
    writer.commit()


def _vectors(
    passages: Sequence[Passage],
    keeper: Writer | Rebuild,
    embedder: Embedder,
    progress: Progress | None = None,
) -> Floats:
    """Unit rows (n, d) of passages; only what the index does not know yet is embedded, once.

    Each batch is kept as soon as it is embedded, so that an interrupted run resumes behind it.
    """
    keys = [passage_key(passage) for passage in passages]
    vectors = keeper.known(keys)
    fresh = {
        key: in_context(passage)
        for key, passage in zip(keys, passages, strict=True)
        if key not in vectors
    }
    unknown = list(fresh)
    for first in range(0, len(unknown), EMBED_AT_ONCE):
        batch = unknown[first : first + EMBED_AT_ONCE]
        embedded = embedder.encode_passages([fresh[key] for key in batch], progress)
        keeper.keep(batch, embedded)
        keeper.commit()
        vectors.update(zip(batch, embedded, strict=True))
    if not keys:
        return np.empty((0, embedder.dimension), np.float32)
    return np.stack([vectors[key] for key in keys])


def _report(progress: Progress | None, stage: str, done: int, total: int) -> None:
    if progress is not None:
        progress(stage, done, total)
