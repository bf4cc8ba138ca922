"""The wording of findings: contacts, entries of lists, and what speaks for or against a destination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from andon.records.finding import timestamp

_NANO: Final = 1_000_000_000
# Parts of a prior (``prior.PARTS``) that speak against a destination, and for it.
_PARTS: Final = {
    "beacon": ("it is polled like a beacon", "its visits have no beat"),
    "rarity": ("polling is rare here", "much is polled here"),
    "onset": ("its visitors began to come lately", "its visitors have come all along"),
    "url": ("its URLs look like those of phishing sites", "its URLs look harmless"),
    "referer": ("it is asked for without a referer", "pages lead to it"),
    "age": ("it is new here", "it has long been known here"),
    "address": ("it is an address without a name", ""),
    "agent": ("its user agents are rare", "its user agents are usual"),
    "failed": ("most requests fail", ""),
    "port": ("its port is unusual", ""),
    "either reading": ("it may be a landing page instead", ""),
}


def when(seconds: int) -> str:
    return timestamp(seconds * _NANO)[:16].replace("T", " ")


def contacts(count: int, first: int, last: int, refused: int = 0) -> str:
    """
    >>> contacts(11, 0, 3600, 2)
    '11 contacts, 2 refused, 1970-01-01 00:00 to 01:00'
    >>> contacts(2, 0, 86_460), contacts(1, 0, 5)
    ('2 contacts, 1970-01-01 00:00 to 1970-01-02 00:01', '1 contact, 1970-01-01 00:00')
    """
    begin, end = when(first), when(last)
    until = "" if begin == end else f" to {end[11:] if begin[:10] == end[:10] else end}"
    return f"{counted(count, 'contact')}{f', {refused:,} refused' if refused else ''}, {begin}{until}"


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "contact"), counted(1_200, "contact")
    ('1 contact', '1,200 contacts')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def entries(listed: list[str], name: str) -> str:
    """The first two entries of lists, without the name they are for where it is the destination's own.

    >>> entries(["urlhaus since 2026-01-02: domain evil.example", "", "feed: domain b.example"], "evil.example")
    'urlhaus since 2026-01-02, feed: domain b.example'
    """
    shown, good = [], [text for text in listed if text]
    for text in good[:2]:
        head, _, tail = text.partition(": ")
        shown.append(head if tail.partition(" ")[2] == name else text)
    return ", ".join(shown) + (f" and {len(good) - 2:,} more" if len(good) > 2 else "")


def percent(share: float) -> str:
    """
    >>> percent(0.9999), percent(0.97), percent(0.0001)
    ('over 99%', '97%', 'below 1%')
    """
    return "over 99%" if share > 0.99 else "below 1%" if share < 0.01 else f"{share:.0%}"


def visitors(against: int, every: int) -> str:
    """
    >>> visitors(0, 1), visitors(1, 1), visitors(9, 9)
    ('1 visitor', 'its only visitor speaks against it', 'all of its 9 visitors speak against it')
    >>> visitors(0, 4), visitors(1, 4), visitors(3, 4)
    ('4 visitors', '1 of its 4 visitors speaks against it', '3 of its 4 visitors speak against it')
    """
    if not against:
        return counted(every, "visitor")
    if every == 1:
        return "its only visitor speaks against it"
    speak = f"speak{'s' * (against == 1)} against it"
    return f"{'all' if against == every else f'{against:,}'} of its {every:,} visitors {speak}"


def parts(said: Mapping[str, float]) -> tuple[str, str]:
    """What speaks against a destination and what for it, the most first, each with its log-odds.

    >>> parts({"base": -5.3, "beacon": 4.4, "onset": -2.5, "rarity": 0.01})
    ('it is polled like a beacon +4.4', 'its visitors have come all along -2.5')
    """
    ranked = sorted(
        ((name, value) for name, value in said.items() if name != "base" and abs(value) >= 0.05),
        key=lambda item: -abs(item[1]),
    )
    texts: tuple[list[str], list[str]] = ([], [])
    for name, value in ranked:
        side = 0 if value > 0 else 1
        texts[side].append(f"{_PARTS.get(name, (name, name))[side] or name} {value:+.1f}")
    return ", ".join(texts[0]), ", ".join(texts[1])
