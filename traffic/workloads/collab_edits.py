"""What writers do to a paragraph: pure functions from its text to the next.

Here: the four habits.
A paragraph is a few lines of one sentence each; however long people write, it keeps at most LINES_MAX.
Must not live here: who has which (personas.py), conflicts, operations.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from traffic.workloads.phrases import other_word, remark, sentence

LINES_MAX = 8


def append(random: Random, text: str, who: str) -> str:
    """Authors add a sentence, or, when the page is full, put another one in place of an old one."""
    lines = text.split("\n")
    if len(lines) >= LINES_MAX:
        return rewrite(random, text, who)
    return "\n".join([*lines, sentence(random)])


def rewrite(random: Random, text: str, who: str) -> str:
    """Editors say one sentence differently, and cut what has grown too long (two texts put side by side)."""
    lines = text.split("\n")
    while len(lines) > LINES_MAX:
        lines.pop(random.randrange(len(lines)))
    lines[random.randrange(len(lines))] = sentence(random)
    return "\n".join(lines)


def comment(random: Random, text: str, who: str) -> str:
    """Commenters add a remark somewhere; when the page is full, an older remark goes for it."""
    lines = text.split("\n")
    if len(lines) >= LINES_MAX:
        remarks = [index for index, line in enumerate(lines) if line.startswith("[")]
        lines.pop(random.choice(remarks or range(len(lines))))
    lines.insert(random.randint(1, len(lines)), remark(random, who))
    return "\n".join(lines)


def fix(random: Random, text: str, who: str) -> str:
    """Fixers drop by and change one word."""
    lines = text.split("\n")
    index = random.randrange(len(lines))
    words = lines[index].split(" ")
    chosen = random.randrange(len(words))
    before = words[chosen]
    while words[chosen] == before:
        words[chosen] = other_word(random)
    lines[index] = " ".join(words)
    return "\n".join(lines)


EDITS: dict[str, Callable[[Random, str, str], str]] = {
    "append": append,
    "rewrite": rewrite,
    "comment": comment,
    "fix": fix,
}
