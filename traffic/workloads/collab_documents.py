"""The documents: which there are, and what became of every acknowledged edit.

Here: documents and paragraphs as this process knows them.
Must not live here: operations, people, merging.

An edit is lost if it was acknowledged before a read was sent, and the read (by quorum) finds no version
that has it. Every version names all edits that are in its text, so one read tells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

PARAGRAPHS = 5
LIVE_DOCUMENTS = 10
EDITS_PER_DOCUMENT = 200
PUBLISHED_MAX = 300
LAST_EDITORS = 3


@dataclass(slots=True, eq=False)
class Paragraph:
    """One key. Invariant: `missing` is part of `acknowledged`."""

    key: str
    acknowledged: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    conflict: frozenset[str] = frozenset()  # the dots of the siblings that were seen last
    unresolved: bool = False  # they could not be merged, and stand side by side

    def read(self, found: Iterable[int], *, expected: Iterable[int]) -> None:
        """A read found these edits; those that were acknowledged before it was sent were to be expected."""
        edits = set(found)
        self.missing = (self.missing | set(expected)) - edits

    def settle(self) -> None:
        """There is one version again."""
        self.conflict = frozenset()
        self.unresolved = False


@dataclass(slots=True, eq=False)
class Document:
    """A title and PARAGRAPHS paragraphs. `unwritten`: keys whose first put is not acknowledged yet."""

    document_id: str
    title: str
    author: str
    created_s: float
    lww: bool
    paragraphs: list[Paragraph]
    unwritten: set[str]
    edits_issued: int = 0
    edits_acknowledged: int = 0
    last_editors: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_EDITORS))

    @property
    def key(self) -> str:
        return f"doc/{self.document_id}"

    def next_edit(self) -> int:
        """A name for an edit, never used twice in this document."""
        self.edits_issued += 1
        return self.edits_issued

    def acknowledge(self, paragraph: Paragraph, edit: int, editor: str) -> None:
        paragraph.acknowledged.add(edit)
        self.edits_acknowledged += 1
        if editor in self.last_editors:
            self.last_editors.remove(editor)
        self.last_editors.append(editor)


class Shelf:
    """All documents of this process: drafts (being written for the first time), live ones, and published ones,
    which nobody edits any more and which are kept to be checked."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.drafts: dict[str, Document] = {}
        self.live: list[Document] = []
        self.published: deque[Document] = deque()
        self.edits_forgotten = 0  # acknowledged ones of documents that are too old to be checked

    @property
    def room(self) -> bool:
        """Whether another document should be begun."""
        return len(self.live) + len(self.drafts) < LIVE_DOCUMENTS

    @property
    def paragraphs(self) -> list[Paragraph]:
        """All that are still known."""
        return [one for document in (*self.published, *self.live) for one in document.paragraphs]

    def draft(self, document: Document) -> None:
        self.drafts[document.document_id] = document

    def written(self, document: Document, key: str) -> None:
        """The first put of one of its keys was acknowledged; when all are, the document is live."""
        document.unwritten.discard(key)
        if not document.unwritten and self.drafts.pop(document.document_id, None) is not None:
            self.live.append(document)

    def pick(self) -> tuple[Document, Paragraph]:
        """Where somebody goes: older documents draw a little less, all paragraphs the same."""
        weights = range(1, len(self.live) + 1)
        document = self._random.choices(self.live, weights)[0]
        return document, self._random.choice(document.paragraphs)

    def publish(self, document: Document) -> None:
        """It takes no more edits."""
        if document in self.live:
            self.live.remove(document)
            self.published.append(document)
        if len(self.published) > PUBLISHED_MAX:
            oldest = self.published.popleft()
            self.edits_forgotten += sum(len(one.acknowledged) for one in oldest.paragraphs)

    def clear(self) -> None:
        """Publish all, and give up the drafts."""
        self.drafts.clear()
        for document in list(self.live):
            self.publish(document)
