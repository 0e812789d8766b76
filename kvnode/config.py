"""What a cluster and a node are told when they start, validated; every bound of the database has its name here.

Must not live here: ports that are chosen and processes that are started (cluster/), and what changes at run time
(the ring's epoch, link faults).
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

import msgspec

# --- bounds on what clients may send -----------------------------------------------------------------------
KEY_BYTES_MAX = 512
VALUE_BYTES_MAX = 1024 * 1024
RECORD_BYTES_MAX = 3 * 1024 * 1024  # all siblings of a key as one coordinator knows them
BODY_BYTES_MAX = VALUE_BYTES_MAX + 64 * 1024  # the value, the context and the JSON around them
HEAD_BYTES_MAX = 64 * 1024  # the request line and the headers
CONTEXT_BYTES_MAX = 16 * 1024  # a write that would make it longer is refused; what was handed out never is
CONTEXT_TEXT_MAX = 48 * 1024  # what siblings of three coordinators at that bound have together
SIBLING_COUNT_MAX = 32
ACTOR_BYTES_MAX = 128
ACTOR_COUNT_MAX = 1024
COUNTER_TOTAL_MAX = 2**53 - 1  # exact in every JSON reader
NESTING_DEPTH_MAX = 64
KEYS_LIMIT_MAX = 1000
CONNECTIONS_MAX = 1000  # fewer where the computer lets a process open fewer files
FILES_RESERVED = 128  # for peers, the data and the log
FILES_WANTED = 4096
BODIES_BYTES_MAX = 64 * 1024 * 1024  # of all requests that are arriving or being served, together
CONNECTION_IDLE_S = 75.0
REQUEST_ARRIVAL_S = 15.0  # from its first byte to its last
BODY_STALLED_S = 1.0  # a body of which nothing came for so long gives way when there is no room for another
HEAVY_READS_MAX = 2  # at a time: each looks at many rows
HEAVY_READS_WAITING_MAX = 8  # beyond: 429
RETRY_AFTER_S = 1  # what 429 and 503 tell a client

# --- time ---------------------------------------------------------------------------------------------------
REQUEST_TIMEOUT_MS = 2_000.0  # then the replicas that have not acknowledged get a hint
FORWARD_TIMEOUT_MS = 2_500.0
FORWARD_PAUSE_MS = 500.0  # then a read that was forwarded is asked of one more replica
HINT_REPLAY_PERIOD_MS = 250.0
HINT_AGE_MS_MAX = 3 * 3600 * 1000.0  # of time in which this node ran (replication/uptime.py)
UPTIME_REMEMBERED_MS = 60_000.0
EXCHANGE_PERIOD_MS = 1_000.0
EXCHANGE_SOON_MS = 200.0  # after one that mended something, or when a peer is back
LOOP_LOOK_MS = 20.0  # how often the event loop is looked at: for how long was it held?
STEP_MS = 10.0  # of a work in the background, before it rests
REST_MS_MIN, REST_MS_MAX = 2.0, 1_000.0
REAP_POLL_MS = 200.0
QUIESCENCE_PERIOD_MS = 250.0
STANDSTILL_MS = 1_000.0  # who has not run for so long has stood still
MAINTENANCE_ANSWER_MS = 1_500.0  # POST /maintenance waits no longer for the tasks that it began
JOINER_TIMEOUT_MS = 700.0
PROBE_PERIOD_MS = 300.0
PROBE_TIMEOUT_MS = 120.0
PROBE_WAIT_MS = 450.0  # no sign of life for so long after a ping: suspected
SUSPICION_PERIODS = 3.0  # times log10(n + 9): just under a second for a small cluster
STAT_WINDOW_MS = 10_000.0
RING_PERIOD_MS = 400.0  # how often a handoff is looked after
START_WAIT_MS = 300.0  # a start waits so long for the members to confirm it, and then takes a fresh store id
START_ASK_MS = 60.0
START_TELL_PERIOD_MS = 1_000.0
START_GENERATION_MS = 5_000.0  # of writing, after which a node begins another generation
INCOMPLETE_STORE_MS = 1_000.0  # a disk that would not take down what is incomplete is asked again
START_GENERATIONS_MAX = 256  # that a folder remembers of its own
START_FOLDERS_MAX = 16  # that a node had before, and is known to have lost
REFILL_PERIOD_MS = 200.0  # how often a store that lacks something looks for it
REFILL_PARTITIONS = 16  # refilled at a time: they count again together
RING_ASK_PERIOD_MS = 100.0  # who is behind asks for the ring no more often
VOTE_TIMEOUT_MS = 1_000.0
VOTE_ATTEMPTS_MAX = 5
VOTE_BACKOFF_MS = 100.0
RING_CHANGES_MAX = 4  # within one client request; then it is given up
CLEANUP_BATCH_RECORDS = 256  # records of a partition held no more that are deleted at once
CLEANUP_PARTITIONS = 8  # let go of at a time: most of it is waiting for the new owners' disks
CLEANUP_PERIOD_MS = 50.0

# --- queues -------------------------------------------------------------------------------------------------
HINT_COUNT_MAX = 100_000
HINT_BYTES_MAX = 256 * 1024 * 1024
LINK_QUEUE_BYTES_MAX = 8 * 1024 * 1024
FRAME_BYTES_MAX = 32 * 1024 * 1024  # more than nine coordinators' siblings of one key, and a batch
HELLO_BYTES_MAX = 4096
STRANGERS_MAX = 64  # connections at a peer port that have not proved yet that they may call
REQUESTS_IN_FLIGHT_MAX = 10_000
ONCE_COUNT_MAX = (
    50_000  # forwarded requests remembered, so that none is coordinated twice (replication/routing.py)
)
BATCH_RECORDS_MAX = 512  # records in one message of hints or of an exchange
BATCH_BYTES_MAX = 2 * 1024 * 1024  # their bytes; one record alone may be larger
EXCHANGE_PARTITIONS = 8  # compared at a time
FOREST_ROWS = 2000  # in one step, while Merkle trees are built after the start
FOREST_SHARE = 0.4  # of one core, at most: nothing can be compared before
BACKGROUND_SHARE = 0.02  # of one core, at most: ten minutes for all rows of a million small ones
ASKED_SHARE = 0.75  # of one core, at most, for what somebody waits for
LISTING_ROWS = 128  # looked at for GET /keys in one step: half a millisecond
SCAN_BYTES = 1024 * 1024  # when a scan has read so much, it ends early
SCRUB_ROWS = 100  # in one step
REAP_ROWS = 200
PAST_STORES_KEPT = (
    16  # of which no member is one any more, in the context of a key, before they are taken away
)
PRUNED_KEYS_MAX, PRUNED_STORES_MAX = 1024, 512  # remembered of what was taken away last, and of each key
REAP_COUNT_MAX = 8192  # tombstones that one round of a node looks after; the others wait for the next
JOINER_ASKED_MAX = 3
DOT_BLOCK = 4096  # dots reserved durably at once
SAMPLE_COUNT_MAX = 4096
REPLICA_ASKED_MS = 1_000.0
TRACE_TIMEOUT_MS = 500.0
TRACE_COUNT_MAX = 32_768  # events of all requests together; a write makes up to nine at one node
TRACES_KEPT_MAX = 4_096  # filed under their requests, for who asks
TRACE_EVENTS_MAX = 64  # told of one request
CACHE_BYTES_MAX = 16 * 1024 * 1024  # durable records kept in memory as well

# --- the cluster --------------------------------------------------------------------------------------------
MAINTENANCE_S_MIN, MAINTENANCE_S_MAX = 0.5, 30 * 86_400.0
NODE_COUNT_MAX = 9
PARTITIONS_DEFAULT = 256
REPLICAS_DEFAULT = 3
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that mean every address of the computer, and how the computer itself reaches a server there."""
SECRET_CHARACTERS_MIN = 16

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


MAINTENANCE_TASKS = ("repair", "sweep", "checkpoint", "scrub")


class ConfigError(Exception):
    """The configuration makes no sense; the message says what was found and what was expected."""


class NodeAddress(msgspec.Struct, frozen=True):
    """Where one node listens: HTTP for clients, framed msgpack for its peers."""

    name: str
    host: str
    http_port: int
    peer_port: int

    @property
    def reachable_host(self) -> str:
        """Where to find it from this computer."""
        return EVERY_INTERFACE.get(self.host, self.host)

    @property
    def url(self) -> str:
        """The base URL that clients on this computer use."""
        host = self.reachable_host
        return f"http://[{host}]:{self.http_port}" if ":" in host else f"http://{host}:{self.http_port}"

    def check(self) -> NodeAddress:
        """Return self, or raise ConfigError that names what is wrong."""
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"node name {self.name!r}: expected lower-case letters, digits and dashes")
        for port in (self.http_port, self.peer_port):
            if not 1 <= port <= 65_535:
                raise ConfigError(f"{self.name}: port {port} given, expected 1 to 65535")
        return self


class MaintenanceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often each maintenance task begins, in seconds on average, and how old a message between nodes may be.

    message_age_s_max: an older one is refused. Half of it is for the delays of link faults: a longer one loses the
    message. A tombstone stays for at least so long.
    """

    repair_s: float = 600.0
    sweep_s: float = 60.0
    checkpoint_s: float = 60.0
    scrub_s: float = 3600.0
    message_age_s_max: float = 30.0

    def check(self) -> None:
        """ConfigError says which figure is out of bounds."""
        for name, seconds in msgspec.structs.asdict(self).items():
            if not MAINTENANCE_S_MIN <= seconds <= MAINTENANCE_S_MAX:
                raise ConfigError(
                    f"maintenance: {name}={seconds}: expected {MAINTENANCE_S_MIN} to {MAINTENANCE_S_MAX:.0f} seconds"
                )


MAINTENANCE_NAMES = MaintenanceConfig.__struct_fields__


class ClusterConfig(msgspec.Struct, frozen=True):
    """What all nodes of a cluster are told alike (cluster.json).

    Members come and go while the cluster runs, and a node remembers them on its own disk. So the file is only a place
    to begin: a node takes the newer of the two, and learns the rest from whom it reaches.

    nodes: everybody. joining: those of them that are not members (yet): such a node starts, serves /health, refuses
    data and waits for POST /cluster/join at a member. epoch: the ring's epoch in which the others are the members.
    founded: all members have run before, so one that finds its data directory empty has lost its disk (and what it
    had promised as a voter with it). A file for a new cluster leaves out all three.

    secret: what peers prove to each other that they know, and what contexts are signed with; only a node that is alone
    goes without. token: what HTTP clients must send, if it is set. Both must be set before a node listens beyond
    loopback.
    """

    cluster: str
    cluster_id: str
    nodes: tuple[NodeAddress, ...]
    replicas: int = REPLICAS_DEFAULT
    partitions: int = PARTITIONS_DEFAULT
    epoch: int = 1
    joining: tuple[str, ...] = ()
    founded: bool = False
    secret: str | None = None
    token: str | None = None
    maintenance: MaintenanceConfig = msgspec.field(
        default=MaintenanceConfig(), name="upkeep"
    )  # in cluster.json

    def check(self) -> ClusterConfig:
        """Return self, or raise ConfigError that names what is wrong."""
        names = [node.name for node in self.nodes]
        if not 1 <= len(names) <= NODE_COUNT_MAX:
            raise ConfigError(f"nodes: {len(names)} given, expected 1 to {NODE_COUNT_MAX}")
        if len(set(names)) != len(names):
            raise ConfigError(f"nodes: names must differ, got {', '.join(names)}")
        if self.replicas < 1:
            raise ConfigError(f"replicas: {self.replicas} given, expected at least 1")
        if not (2 <= self.partitions <= 2**15 and self.partitions & (self.partitions - 1) == 0):
            raise ConfigError(f"partitions: {self.partitions} given, expected a power of two from 2 to 32768")
        if self.epoch < 1:
            raise ConfigError(f"epoch: {self.epoch} given, expected at least 1")
        for name in self.joining:
            if name not in names:
                raise ConfigError(f"joining: {name!r} is not among the nodes, which are {', '.join(names)}")
        if len(set(self.joining)) == len(names):
            raise ConfigError("joining: all nodes are joining, so there is no member to join")
        self.maintenance.check()
        for node in self.nodes:
            node.check()
            if not is_loopback(node.host) and not (self.secret and self.token):
                raise ConfigError(
                    f"{node.name}: host {node.host!r} is beyond loopback, which needs a secret and a token in the"
                    f" cluster file; `python -m kvnode.cluster start --host {node.host}` makes both"
                )
        self._check_words()
        if len(names) > 1 and not self.secret:
            raise ConfigError(
                f"secret: {len(names)} nodes need one, by which they know each other: put"
                f' "secret": "{SECRET_CHARACTERS_MIN} characters or more that nobody else knows" into the cluster file'
                " and chmod 600 it; `python -m kvnode.cluster start` makes one"
            )
        return self

    def _check_words(self) -> None:
        for name, word in (("secret", self.secret), ("token", self.token)):
            if word is not None and not (
                len(word) >= SECRET_CHARACTERS_MIN
                and word.isascii()
                and word.isprintable()
                and " " not in word
            ):
                raise ConfigError(
                    f"{name}: expected at least {SECRET_CHARACTERS_MIN} printable ASCII characters without spaces"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names, sorted."""
        return tuple(sorted(node.name for node in self.nodes))

    def address(self, name: str) -> NodeAddress:
        """The address of one node; ConfigError names the known ones if there is no such node."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ConfigError(f"node {name!r} is not in the cluster file, which has {', '.join(self.names)}")


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach a server at this host."""
    try:
        return host in LOOPBACK_HOSTS or ip_address(host).is_loopback
    except ValueError:
        return False  # a name: it may lead anywhere


def read_cluster_file(path: Path) -> ClusterConfig:
    """Read and check cluster.json; every fault of the file becomes a ConfigError of one line."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=ClusterConfig).check()
        if (config.secret or config.token) and path.stat().st_mode & 0o077:
            raise ConfigError(
                f"others can read the cluster file {path}, which holds secrets: chmod 600 {path}"
            )
        return config
    except OSError as error:
        raise ConfigError(f"cannot read the cluster file {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"the cluster file {path} is not as expected: {error}") from error
