"""The engines behind runtime.Disk: SQLite with group commit, and plain memory. They know no quorums and no versions."""

from kvnode.storage.files import StorageError
from kvnode.storage.memory import MemoryDisk
from kvnode.storage.sqlite import SqliteDisk

__all__ = ["MemoryDisk", "SqliteDisk", "StorageError"]
