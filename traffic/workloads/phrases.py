"""Short texts made from parts: cheerful, harmless, and different enough to tell apart on a projector.

Here: words.
Must not live here: who says them and when.
"""

from __future__ import annotations

from random import Random

_WHO = (
    "My cat", "The office plant", "My toaster", "Our professor", "A pigeon", "My rubber duck", "The printer",
    "My grandmother", "A very small robot", "The school bus", "My left sock", "The library ghost",
    "My bicycle",
    "The canteen soup", "An umbrella", "My alarm clock",
)  # fmt: skip
_DID = (
    "elected itself leader", "reached consensus with the fridge", "lost a quorum and found it again",
    "merged two conflicting opinions", "answered from a stale replica", "read its own writes",
    "split into two partitions", "gossiped about the weather", "timed out during breakfast",
    "retried until it worked", "replicated all my cookies", "backed off exponentially",
    "missed every heartbeat today", "repaired itself overnight", "kept three copies of my homework",
    "swore that it was first", "detected a failure that was only a nap", "went eventually consistent",
)  # fmt: skip
_AND = (
    "and nobody noticed.", "and I have proof.", "twice before lunch.", "in front of everybody.",
    "without a fsync.",
    "and wants to be thanked.", "as the paper promised.", "on a Sunday.", "in under ten milliseconds.",
    "and the clock disagrees.", "again.", "for science.",
)  # fmt: skip
_TAG = ("#quorum", "#eventually", "#homework", "#monday", "#nodes", "#goodvibes", "#clocks", "")

_COMMENT = (
    "Same here!", "Source?", "My replica says otherwise.", "Acknowledged.",
    "Happened to me before it was cool.",
    "This deserves a third copy.", "Wow.", "I read that yesterday, from the future.", "Is this linearizable?",
    "Liking it twice, just to be sure.", "Tell us more.", "+1", "Greetings from the other partition.", "Ha!",
)  # fmt: skip
_KIND_OF_TEXT = (
    "Notes on",
    "A short history of",
    "Minutes about",
    "A guide to",
    "In praise of",
    "Questions on",
)
_ABOUT = (
    "clocks that disagree", "the canteen's quorum", "gossip", "the missing replica", "hot keys", "lost socks",
    "eventual consistency", "our printer", "hinted handoff", "the school bus", "Monday partitions", "siblings",
)  # fmt: skip
_OTHER_WORD = (
    "quietly", "eventually", "twice", "hopefully", "allegedly", "gracefully", "monotonically", "again", "perhaps",
    "bravely", "politely", "asynchronously", "officially", "consistently", "almost",
)  # fmt: skip


def tweet_text(random: Random) -> str:
    """One line for a timeline, at most 140 characters."""
    text = f"{random.choice(_WHO)} {random.choice(_DID)} {random.choice(_AND)} {random.choice(_TAG)}"
    return text.rstrip()[:140]


def comment_text(random: Random) -> str:
    """One short answer to a tweet."""
    return random.choice(_COMMENT)


def sentence(random: Random) -> str:
    """One sentence of a document: one line."""
    return f"{random.choice(_WHO)} {random.choice(_DID)} {random.choice(_AND)}"


def title(random: Random) -> str:
    """What a document is called."""
    return f"{random.choice(_KIND_OF_TEXT)} {random.choice(_ABOUT)}"


def remark(random: Random, who: str) -> str:
    """A remark in the margin: one line."""
    return f"[{who}: {random.choice(_COMMENT)}]"


def other_word(random: Random) -> str:
    """A word that somebody finds better than the one that stands there."""
    return random.choice(_OTHER_WORD)
