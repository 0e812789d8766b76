"""Values: the version that a PUT makes, what it replaces, and what a GET shows of what a quorum holds together.

Invariant: what is held, or was handed out, may be read and replaced, however much it is: only growth is refused.
Paper: Preguiça et al., "Dotted Version Vectors: Logical Clocks for Optimistic Replication", 2010.
Must not live here: quorums (write.py, read.py), and how versions merge (versions/siblings.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from kvnode.config import CONTEXT_BYTES_MAX, RECORD_BYTES_MAX, SIBLING_COUNT_MAX
from kvnode.context import NodeContext
from kvnode.errors import BadRequest, Conflict, KvError
from kvnode.messages import KV
from kvnode.operations import GetAnswer, Outcome, Put, PutAnswer, no_value
from kvnode.records.kinds import KVS, Mutation, encode_state
from kvnode.replication.context_tokens import ContextTokens
from kvnode.replication.dots import DotSource
from kvnode.versions import Context, Dot, Siblings, Version


class ValueMutation(Mutation, frozen=True):
    """The siblings of one key after a PUT. version: the new one; context: what its writer had seen."""

    siblings: Siblings
    version: Version
    context: Context


class Values:
    """Makes and shows the versions of one node.

    strip: takes what nothing needs any more from the context of a key (tombstones/pruning.py).
    """

    def __init__(
        self,
        node: NodeContext,
        dots: DotSource,
        tokens: ContextTokens,
        strip: Callable[[str, Context], Context],
    ) -> None:
        self.dots = dots
        self._clock = node.runtime.clock
        self._records = node.records
        self._tokens = tokens
        self._strip = strip

    async def write(
        self, request: Put, elsewhere: bytes | None, refusal: Callable[[str], KvError]
    ) -> ValueMutation:
        """One more version, under a dot of this store. elsewhere: what other replicas hold, if that was asked.

        Raises BadRequest, Conflict, and the refusal if there are no dots. Once it has its dot it waits for nothing.
        """
        dot, base = await self.dots.next_for(KV, request.key, self._records.latest, refusal)
        return self.mutation(request, held_of(base, elsewhere), dot, base)

    def mutation(self, request: Put, held: Siblings, dot: Dot, base: bytes | None) -> ValueMutation:
        """What is held with one more version. base: the record of it here. Raises BadRequest, Conflict."""
        context = request.context
        if context is None:
            context = held.context if request.mode == "replace" else Context()
        if context.covers_dot(dot):
            _refuse_future(request.context, dot)
        siblings, version = held.write(
            dot,
            request.value or b"",
            context=self._strip(request.key, context),
            timestamp=round(self._clock.wall_ms(), 3),
            deleted=request.value is None,
            lww=request.mode == "lww",
        )
        if not siblings.has_taken(version):
            _refuse_future(None, dot)
        record = encode_state(siblings)
        _refuse_excess(held, siblings, context, base, record)
        return ValueMutation(KV, request.key, record, base, siblings, version, context)

    def put_answer(self, made: ValueMutation, outcome: Outcome) -> PutAnswer:
        """What the writer is told: the context that covers its write, and nothing that it was not shown."""
        version, context = made.version, made.context
        seen = made.siblings.context_for_writer(version)
        is_alone = made.siblings.versions == (version,) and not context.dots
        vector = seen.vector if is_alone else version.clock
        return PutAnswer.of(made.key, version, context, vector, self._tokens.issue(made.key, seen), outcome)

    def get_answer(self, key: str, record: bytes | None, outcome: Outcome) -> GetAnswer:
        """What a reader is shown. Raises NotFound, with the context if the key was deleted."""
        siblings = KVS.empty if record is None else KVS.decode(record)
        shown, context = siblings.shown, siblings.context
        token = self._tokens.issue(key, context)
        if shown is None:
            raise no_value(key, siblings, token, outcome)
        return GetAnswer.of(key, siblings, shown, context, token, outcome)


def held_of(base: bytes | None, elsewhere: bytes | None) -> Siblings:
    """The versions of two records together."""
    held = KVS.empty if base is None else KVS.decode(base)
    return held if elsewhere is None else held.merge(KVS.decode(elsewhere))


def _refuse_future(told: Context | None, dot: Dot) -> NoReturn:
    """What the writer was told, or what is held of the key, claims to have seen a write that is issued only now:
    it would be acknowledged, and be gone."""
    if told is not None:
        raise BadRequest(
            f"context: it covers {dot}, which was not issued yet; pass on only what a GET or PUT answered"
        )
    raise Conflict(
        f"the key was written under a context that covers dots not issued yet, such as {dot}: "
        "resolve it with a PUT through another node"
    )


def _refuse_excess(
    held: Siblings, siblings: Siblings, told: Context, base: bytes | None, record: bytes
) -> None:
    """Refuse a write, under the context `told`, that would have more of a key than is kept, and more than there was."""
    if len(siblings.versions) > max(SIBLING_COUNT_MAX, len(held.versions)):
        raise Conflict(
            f"key has {len(held.versions)} siblings, at most {SIBLING_COUNT_MAX} are kept: "
            "resolve them with a PUT under the context of a GET"
        )
    if len(record) > max(RECORD_BYTES_MAX, 0 if base is None else len(base)):
        raise Conflict(
            f"the siblings of this key would have {len(record)} bytes, at most {RECORD_BYTES_MAX} are kept: "
            "resolve them with a PUT under the context of a GET"
        )
    if len(record) > CONTEXT_BYTES_MAX // 2:  # else its context cannot be that long
        _refuse_growth(max(held.context.entry_count, told.entry_count), siblings.context)


def _refuse_growth(count_before: int, after: Context) -> None:
    if after.entry_count > count_before and after.bytes_about > CONTEXT_BYTES_MAX:
        raise Conflict(
            f"the context of this key would have {after.entry_count} entries, about {after.bytes_about} bytes; at most"
            f" {CONTEXT_BYTES_MAX} are kept: each restart of a node that had crashed adds one, and in peace, with all"
            " members alive, those that nothing needs any more are taken away (/stats, tombstones); write again then"
        )
