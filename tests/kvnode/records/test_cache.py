"""Durable records in memory: what was used last is there, and no more than the bound."""

from kvnode.config import CACHE_BYTES_MAX
from kvnode.records.cache import Known, RecordCache


def test_what_is_used_stays_and_what_is_not_is_forgotten() -> None:
    recent = RecordCache()
    recent.put("used", Known(b"1", 1))
    recent.put("unused", Known(b"2", 2))
    large = b"x" * (CACHE_BYTES_MAX // 8)
    for number in range(20):
        recent.put(f"other {number}", Known(large, number))
        assert recent.get("used") == Known(b"1", 1)
    assert recent.get("unused") is None


def test_no_more_than_the_bound_is_kept() -> None:
    recent, record = RecordCache(), b"x" * 1000
    for number in range(2 * CACHE_BYTES_MAX // len(record)):
        recent.put(f"k{number}", Known(record, number))
        kept = len(recent._young) + len(recent._old)
    assert CACHE_BYTES_MAX // 4 < kept * len(record) < CACHE_BYTES_MAX


def test_an_older_state_never_comes_back() -> None:
    recent = RecordCache()
    recent.put("k", Known(b"old", 1))
    recent.put("filler", Known(b"x" * CACHE_BYTES_MAX, 2))  # now "k" is in the old generation
    recent.put("k", Known(b"new", 3))
    assert recent.get("k") == Known(b"new", 3)
    recent.discard("k")
    assert recent.get("k") is None
