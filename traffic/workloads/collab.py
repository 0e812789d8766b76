"""The collaborative editor: people read a paragraph, think, and write what they made of it.

Here: visits, and what each answer leads to. It knows no HTTP and no nodes.
Must not live here: what an edit does to a text (collab_edits.py), merging (collab_merge.py), which documents there are
and what is missing (collab_documents.py).

A visit. Somebody opens a paragraph (a quorum read, which hands out a context), thinks for some seconds, and
writes the new text under that context: "this replaces what I have read". Whoever wrote meanwhile did not see
it, so both versions stay as siblings; nothing is lost, and the next reader finds a *collision*. The reader's
editor merges the siblings by itself if it can, and writes the merge under the context of that read. If both
changed the same words it cannot: then both are kept and shown, people work elsewhere, and the next visitor of
the kind "editor" resolves it by hand.

The bug "lww": no context, and the last writer wins (mode=lww). Then a collision leaves no sibling, and an
acknowledged edit is gone without anybody noticing; `edits_lost` notices.

Thinking takes seconds, at whatever rate operations are asked for: at most WRITERS_AT_ONCE people think at
the same time, and at a high rate they are hurried.

Keys: `doc/{id}` (title, how many paragraphs) and `doc/{id}/p/{n}`, whose value is JSON: the text, who wrote
it, the edits that are in it, and the versions before it (collab_merge.Version).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from kvnode.checkers import Verdict
from traffic.operations import Get, Operation, Put
from traffic.stores.base import GetReply, PutReply, Reply, Sibling
from traffic.workloads.base import Workload
from traffic.workloads.collab_documents import EDITS_PER_DOCUMENT, PARAGRAPHS, Document, Paragraph, Shelf
from traffic.workloads.collab_edits import EDITS
from traffic.workloads.collab_merge import Version, merged, side_by_side
from traffic.workloads.follow_ups import FollowUps
from traffic.workloads.personas import WRITERS, Persona, Population
from traffic.workloads.phrases import sentence, title
from traffic.workloads.reading import Reads, Unread, read_all
from traffic.workloads.verdicts import at_risk, judged

CLAIM = "no acknowledged edit was lost"
WRITERS_COUNT = 40
WRITERS_AT_ONCE = 24
STEPS_MAX = 10_000
THINK_S_MEDIAN = 2.0
THINK_SIGMA = 0.6  # of a lognormal: most people are quick, a few take long
BY_HAND_S = 4.0  # resolving a conflict takes longer
REWRITE_AFTER_S = 0.5


@dataclass(slots=True)
class Visit:
    """One person at one paragraph, from opening it to the last write. One operation at a time."""

    session: str
    persona: Persona
    document: Document
    paragraph: Paragraph
    expected: frozenset[int] = frozenset()  # edits that were acknowledged before it was opened
    edit: int | None = None  # the one that is being written
    result: Version | None = None  # what it will look like


class Collab(Workload):
    """People who write together. See the module for the rules."""

    name = "collab"
    kinds: tuple[str, ...] = ("create", "open", "edit", "merge", "resolve")
    bugs_known = ("lww",)

    def __init__(self, random: Random, *, tag: str | None = None, bugs: frozenset[str] = frozenset()) -> None:
        self._random = random
        self._tag = tag or f"{random.getrandbits(16):04x}"
        self.bugs = bugs
        self._lww = "lww" in bugs
        self._population = Population(random, WRITERS_COUNT, kinds=WRITERS)
        self.shelf = Shelf(random)
        self._steps: FollowUps[Operation] = FollowUps(STEPS_MAX)
        self._visits: dict[str, Visit] = {}  # by session; one ends when its operation fails, or with its edit
        self._visits_begun = 0
        self._last_id_ms = 0
        self._w_min: int | None = None
        self._tally = dict.fromkeys(("collisions", "automatic_merges", "resolved_by_hand", "edits_failed"), 0)

    @property
    def active(self) -> int:
        """How many documents are live."""
        return len(self.shelf.live)

    @property
    def documents(self) -> Sequence[Document]:
        """The live ones, the newest first."""
        return self.shelf.live[::-1]

    def change_habits(
        self, *, personas: Mapping[str, float] | None = None, read_share: float | None = None
    ) -> None:
        if read_share is not None:
            raise ValueError("collab takes no read_share: who opens a paragraph, edits it")
        self._population.make_busy(personas or {})

    def people(self) -> list[dict[str, Any]]:
        return self._population.people()

    def homes(self) -> Mapping[str, int]:
        return self._population.homes()

    def counts(self) -> dict[str, int]:
        """collisions: conflicts that readers have found. unresolved: paragraphs that stand as siblings now,
        since they could not be merged. edits_lost: acknowledged edits that the last read of their paragraph
        did not find."""
        known = self.shelf.paragraphs
        return {
            **self._tally,
            "unresolved": sum(one.unresolved for one in known),
            "edits_acknowledged": self._edits_acknowledged(),
            "edits_lost": sum(len(one.missing) for one in known),
        }

    # --- what happens next --------------------------------------------------------------------------------

    def next_operation(self, now_s: float) -> Operation:
        if self._lww != ("lww" in self.bugs):  # people turn to new documents, and the old ones are checked
            self._lww = not self._lww
            self.shelf.clear()
        step = self._steps.due(now_s)
        if step is None and len(self._steps) >= WRITERS_AT_ONCE:
            step = self._steps.hurried()
        if step is not None:
            return step
        persona = self._population.pick()
        if self.shelf.room:
            return self._create(persona, now_s)
        if not self.shelf.live:  # the first documents are still being written
            return self._read(persona, next(iter(self.shelf.drafts.values())).key, "reader")
        return self._open(persona, *self.shelf.pick())

    def _create(self, persona: Persona, now_s: float) -> Operation:
        """A new document: its first put now, the others next."""
        created_ms = max(int(now_s * 1000), self._last_id_ms + 1)
        self._last_id_ms = created_ms
        key = f"doc/{created_ms}-{self._tag}"
        paragraphs = [Paragraph(f"{key}/p/{number}") for number in range(1, PARAGRAPHS + 1)]
        document = Document(
            document_id=f"{created_ms}-{self._tag}",
            title=title(self._random),
            author=persona.handle,
            created_s=now_s,
            lww=self._lww,
            paragraphs=paragraphs,
            unwritten={key, *(paragraph.key for paragraph in paragraphs)},
        )
        self.shelf.draft(document)
        about = {
            "document_id": document.document_id,
            "title": document.title,
            "author": persona.handle,
            "paragraphs": PARAGRAPHS,
            "created_at": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
        }
        session = document.document_id
        for paragraph in paragraphs:
            first = Version("\n".join(sentence(self._random) for _ in range(3)), persona.handle)
            self._steps.add(self._put("create", persona, paragraph.key, _json(first), session), now_s)
        return self._put("create", persona, key, _json(about), session)

    def _open(self, persona: Persona, document: Document, paragraph: Paragraph) -> Operation:
        self._visits_begun += 1
        session = f"{persona.handle}/{self._visits_begun}"
        expected = frozenset(paragraph.acknowledged)
        self._visits[session] = Visit(session, persona, document, paragraph, expected)
        return self._read(persona, paragraph.key, session)

    # --- how it ended -------------------------------------------------------------------------------------

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None:
        if operation.kind == "create":
            document = self.shelf.drafts.get(operation.session or "")
            if document is not None:
                self.shelf.written(document, operation.key)
            return
        visit = self._visits.get(operation.session or "")
        if visit is None:
            return
        if isinstance(reply, PutReply):
            self._written(visit, operation.kind, reply, now_s)
        elif isinstance(reply, GetReply):
            self._opened(visit, reply, now_s)
        else:  # nothing is there, although it was written
            visit.paragraph.read((), expected=visit.expected)
            self._leave(visit)

    def failed(self, operation: Operation, *, definite: bool, now_s: float) -> None:
        if operation.kind == "create":
            if (
                operation.session or ""
            ) in self.shelf.drafts:  # the same text again: nobody has edited it yet
                self._steps.add(operation, now_s + REWRITE_AFTER_S)
            return
        visit = self._visits.get(operation.session or "")
        if visit is not None:
            self._tally["edits_failed"] += visit.edit is not None
            self._leave(visit)

    def _opened(self, visit: Visit, reply: GetReply, now_s: float) -> None:
        """The paragraph is on somebody's screen."""
        versions = [_version(sibling) for sibling in reply.siblings if not sibling.deleted]
        paragraph = visit.paragraph
        paragraph.read((edit for one in versions for edit in one.edits), expected=visit.expected)
        if visit.document.lww:
            self._plan_edit(visit, _shown(reply), None, now_s)
            return
        if len(versions) == 1:
            paragraph.settle()
            self._plan_edit(visit, versions[0], reply.context, now_s)
            return
        dots = frozenset(sibling.dot for sibling in reply.siblings)
        self._tally["collisions"] += not dots <= paragraph.conflict
        paragraph.conflict = dots
        together = merged(versions)
        if together is not None:
            self._write(visit, "merge", together, reply.context, now_s)
        else:
            paragraph.unresolved = True
            if visit.persona.kind.name == "editor":
                self._resolve_by_hand(visit, side_by_side(versions), reply.context, now_s)
            else:
                self._leave(visit)

    def _written(self, visit: Visit, kind: str, reply: PutReply, now_s: float) -> None:
        """A write of this visit was acknowledged."""
        self._w_min = min(reply.w, self._w_min or reply.w)
        document, paragraph = visit.document, visit.paragraph
        if kind == "merge" and visit.result is not None:
            self._tally["automatic_merges"] += 1
            paragraph.unresolved = False
            self._plan_edit(visit, visit.result, reply.context, now_s)
            return
        if kind == "resolve":
            self._tally["resolved_by_hand"] += 1
            paragraph.unresolved = False
        if visit.edit is not None:
            document.acknowledge(paragraph, visit.edit, visit.persona.handle)
            if document.edits_acknowledged >= EDITS_PER_DOCUMENT:
                self.shelf.publish(document)
        self._leave(visit)

    def _leave(self, visit: Visit) -> None:
        del self._visits[visit.session]

    # --- writing ------------------------------------------------------------------------------------------

    def _plan_edit(self, visit: Visit, seen: Version, context: str | None, now_s: float) -> None:
        """Think, then write what the persona's habit makes of the text."""
        persona = visit.persona
        habit = EDITS[persona.kind.pick_action(self._random)]
        visit.edit = visit.document.next_edit()
        text = habit(self._random, seen.text, persona.handle)
        result = seen.edited(text, editor=persona.handle, edit=visit.edit)
        think_s = THINK_S_MEDIAN * self._random.lognormvariate(0.0, THINK_SIGMA)
        self._write(visit, "edit", result, context, now_s + think_s)

    def _resolve_by_hand(self, visit: Visit, both: Version, context: str | None, now_s: float) -> None:
        visit.edit = visit.document.next_edit()
        result = both.edited(both.text, editor=visit.persona.handle, edit=visit.edit)
        self._write(visit, "resolve", result, context, now_s + BY_HAND_S)

    def _write(self, visit: Visit, kind: str, result: Version, context: str | None, due_s: float) -> None:
        visit.result = result
        put = self._put(kind, visit.persona, visit.paragraph.key, _json(result), visit.session, context)
        self._steps.add(put, due_s)

    def _put(
        self, kind: str, persona: Persona, key: str, value: str, session: str, context: str | None = None
    ) -> Put:
        self._population.acted[persona.kind.name] += 1
        return Put(
            kind=kind,
            persona=persona.handle,
            key=key,
            value=value,
            context=context,
            mode="lww" if self._lww and "/p/" in key else None,
            region=persona.region,
            session=session,
        )

    def _read(self, persona: Persona, key: str, session: str) -> Get:
        self._population.acted[persona.kind.name] += 1
        return Get(kind="open", persona=persona.handle, key=key, region=persona.region, session=session)

    # --- the verdict --------------------------------------------------------------------------------------

    async def check(self, reads: Reads) -> list[Verdict]:
        """Read every paragraph that was edited, and look for every acknowledged edit."""
        paragraphs = [one for one in self.shelf.paragraphs if one.acknowledged]
        if not paragraphs:
            return []
        expected = {one.key: frozenset(one.acknowledged) for one in paragraphs}  # edits go on meanwhile
        final = await read_all(expected, reads.value)
        unread, evidence = 0, []
        held: dict[str, set[int]] = {}
        for paragraph in paragraphs:
            read = final[paragraph.key]
            if isinstance(read, Unread):
                unread += 1
                continue
            siblings = read.siblings if read is not None else []
            found = {edit for one in siblings if not one.deleted for edit in _version(one).edits}
            held[paragraph.key] = found
            paragraph.read(found, expected=expected[paragraph.key])
            if paragraph.missing:
                missing = ", ".join(map(str, sorted(paragraph.missing)[:5]))
                of = f"{len(paragraph.missing)} of {len(paragraph.acknowledged)} acknowledged edits"
                evidence.append(f"{paragraph.key!r} lacks {of}: {missing}")
        verdict = judged(
            CLAIM,
            acknowledged=self._edits_acknowledged(),
            lost=sum(len(expected[key] - found) for key, found in held.items()),
            unread=unread,
            at_risk=at_risk(self._w_min, reads),
            evidence=evidence,
        )
        return [verdict]

    def _edits_acknowledged(self) -> int:
        return self.shelf.edits_forgotten + sum(len(one.acknowledged) for one in self.shelf.paragraphs)


def _version(sibling: Sibling) -> Version:
    return _decoded(sibling.value)


def _shown(reply: GetReply) -> Version:
    """The version that a reader who knows nothing of siblings sees."""
    return _decoded(reply.value)


def _decoded(value: object) -> Version:
    """A version as we write it; what somebody else put there counts as a text without edits."""
    try:
        return msgspec.json.decode(value if isinstance(value, str) else "", type=Version)
    except msgspec.MsgspecError:
        return Version(str(value), "somebody")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
