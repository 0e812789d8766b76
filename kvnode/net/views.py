"""What a node tells about itself over HTTP: /health, /info, /ring, /members, /stats, and what each replica holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

import kvnode
from kvnode.messages import KV
from kvnode.net.loop_watch import LoopStats
from kvnode.net.peers import PeerNetwork
from kvnode.net.server import HttpStats
from kvnode.node import Node
from kvnode.observe import DurationStats
from kvnode.operations import SiblingView
from kvnode.records.checksum import checksum
from kvnode.records.records import COUNTERS, KVS


class LagStats(DurationStats, frozen=True):
    """How long one replica took to acknowledge writes, and for how long the oldest one has been waiting (ms)."""

    oldest_unacknowledged_ms: float


class Views:
    """Reads of one node's components; changes nothing."""

    def __init__(self, node: Node, network: PeerNetwork) -> None:
        self._node = node
        self._network = network
        self.more: dict[str, Callable[[], HttpStats | LoopStats]] = {}
        """What else /stats tells, by name: of the parts of the process that are not components."""
        self._started_ms = node.runtime.clock.now_ms()
        self._started_wall_ms = node.runtime.clock.wall_ms()

    def health(self) -> dict[str, Any]:
        """GET /health."""
        node = self._node
        members = {member.name: member.state for member in node.members}
        return {"status": "ok", "node": node.name, "cluster": node.config.cluster, "members": members}

    def info(self) -> dict[str, Any]:
        """GET /info."""
        node = self._node
        address = node.config.address(node.name)
        return {
            "name": node.name,
            "version": kvnode.__version__,
            "cluster": node.config.cluster,
            "cluster_id": node.config.cluster_id,
            "store_id": node.dots.store,
            "replicas": node.config.replicas,
            "partitions": node.ring.partitions,
            "epoch": node.ring.epoch,
            "pid": os.getpid(),
            "started_at": round(self._started_wall_ms, 3),
            "http_port": address.http_port,
            "peer_port": address.peer_port,
        }

    def ring(self, key: str | None) -> dict[str, Any]:
        """GET /ring, with ?key= also where that key lives."""
        ring = self._node.ring
        view: dict[str, Any] = {
            "epoch": ring.epoch,
            "replicas": ring.replicas,
            "partitions": ring.partitions,
            "nodes": ring.nodes,
            "urls": {node.name: node.url for node in ring.state.everybody},
            "slots": ring.slots(),
            "preference_lists": ring.preference_lists,
            "pending_lists": ring.pending_lists,
            "orphaned": len(self._node.cleanup.orphaned),
            **self._node.changes.describe(),
        }
        if key is not None:
            view |= {
                "key": key,
                "partition": ring.partition_of(key),
                "preference_list": ring.preference_list(key),
                "pending_owners": ring.pending(key),
            }
        return view

    def members(self) -> dict[str, Any]:
        """GET /members."""
        node = self._node
        members = [
            {
                "name": member.name,
                "state": member.state,
                "incarnation": member.incarnation,
                "since": round(member.since, 3),
                "self": member.name == node.name,
            }
            for member in node.members
        ]
        return {"node": node.name, "members": members}

    def stats(self) -> dict[str, Any]:
        """GET /stats: what the components say of themselves; what is a single number stands here."""
        node, clock = self._node, self._node.runtime.clock
        links = self._network.describe(node.swim.round_trip)
        return {
            "node": node.name,
            "store_id": node.dots.store,
            "generations": node.starts.count,
            "generation_unconfirmed_by": node.starts.untold,
            "epoch": node.ring.epoch,
            "uptime_s": round((clock.now_ms() - self._started_ms) / 1000.0, 3),
            "time_ms": round(clock.wall_ms(), 3),
            "operations": node.router.describe(),
            "keys": node.records.row_count,
            "corrupt_records_total": node.records.corrupt_count,
            "scrub": node.scrub.describe(),
            "refill": node.refill.describe(votes=node.acceptor.may_vote),
            "maintenance": node.maintenance.describe(),
            "tombstones": node.reaper.describe(),
            "messages_refused_total": self._network.refused_count,
            "messages_implausible_total": {
                "epoch": node.dissemination.implausible_count,
                "incarnation": node.members.implausible_count,
                "ballot": node.acceptor.implausible_count,
                "unreadable": self._network.unreadable_count,
            },
            "requests_in_flight": len(node.rpc),
            "hints": node.hints.describe(),
            "repairs": node.exchange.describe(read_repair_count=node.observer.read_repair_count),
            "replication_lag": {peer: self._lag(peer) for peer in links},
            "links": links,
            "storage": node.runtime.disk.describe(),
            **{name: describe() for name, describe in self.more.items()},
        }

    def _lag(self, peer: str) -> LagStats:
        node = self._node
        oldest_ms = max(node.writer.oldest_unacknowledged_ms(peer), node.hints.oldest_ms(peer))
        lag = node.observer.lag_of(peer).summary(node.runtime.clock.now_ms())
        return LagStats(**msgspec.structs.asdict(lag), oldest_unacknowledged_ms=round(oldest_ms, 3))

    async def trace(self, trace_id: int) -> dict[str, Any]:
        """GET /trace/{id}: who did what, in the order of the nodes' wall clocks; ms since the first event."""
        events = await self._node.inspection.trace(trace_id)
        first_ms = events[0][1][0] if events else 0.0
        told = [
            {
                "node": node,
                "at_ms": round(time_ms - first_ms, 3),
                "event": what,
                **({"peer": peer} if peer else {}),
            }
            for node, (time_ms, what, peer) in events
        ]
        return {
            "trace_id": f"{trace_id:016x}",
            "cause": f"{trace_id:016x}",
            "began": round(first_ms, 3) if events else None,
            "events": told,
        }

    async def merkle(self, partition: int | None, peer: str | None) -> dict[str, Any]:
        """GET /merkle: the roots; with ?partition= one tree, with ?peer= also where the peer's differs."""
        node = self._node
        forest = node.records.forest
        if partition is None:
            await node.records.build_forest(is_asked=True)
            roots = [_hex(forest.root(number)) for number in range(node.ring.partitions)]
            return {"node": node.name, "roots": roots}
        view: dict[str, Any] = {
            "node": node.name,
            "partition": partition,
            "levels": [[_hex(known) for known in forest.hashes(partition, level)] for level in range(3)],
        }
        if peer is not None:
            view["peer"] = peer
            view["differing"] = await node.exchange.compare(peer, partition)
        return view

    async def replicas(self, kind: str, key: str) -> dict[str, Any]:
        """GET /kv/{key}/replicas and /counter/{key}/replicas: agreement is: all reachable, equal digests."""
        replicas = []
        for name, fetched in await self._node.inspection.replicas(kind, key):
            view: dict[str, Any] = {"node": name, "reachable": fetched is not None, "digest": None}
            record = None if fetched is None else fetched.record
            if record is not None:
                view["digest"] = _hex(checksum(key, record))
            if fetched is not None and not fetched.counts:
                view["refilling"] = True
            view |= _record_view(kind, record, None if fetched is None else fetched.stored_at or None)
            replicas.append(view)
        return {"key": key, "partition": self._node.ring.partition_of(key), "replicas": replicas}


def _hex(signed: int) -> str:
    return f"{signed & (2**64 - 1):016x}"


def _record_view(kind: str, record: bytes | None, stored_at: float | None) -> dict[str, Any]:
    if kind == KV:
        siblings = KVS.empty if record is None else KVS.decode(record)
        return {
            "siblings": [SiblingView.of(version) for version in siblings.versions],
            "vector_clock": siblings.context.vector.as_dict(),
            "stored_at": stored_at,
        }
    counter = COUNTERS.empty if record is None else COUNTERS.decode(record)
    return {
        "value": counter.value,
        "actors": {
            actor: {"increments": increments, "decrements": decrements}
            for actor, increments, decrements in counter.entries
        },
        "stored_at": stored_at,
    }
