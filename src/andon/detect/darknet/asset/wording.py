"""Texts for people: what to do next, and values of strangers that cannot drive a terminal or be clicked."""

from __future__ import annotations

from andon.detect.darknet.asset.cases import DEVICE
from andon.detect.darknet.asset.meaning import DOES_NOT
from andon.records.contract import SECOND
from andon.records.finding import timestamp


def advice(fit: str, level: str, shared: bool) -> str:
    """The recommended next step."""
    if shared:
        return (
            "find the device behind the address in the log of the address translation, by the times and ports given; "
            "then take it off the network, restart it, change its password and bring its firmware up to date."
        )
    if level != DEVICE:
        return (
            "find out from the leases who had the address at the times given; then take that device off the network, "
            "restart it, change its password and bring its firmware up to date."
        )
    if fit == DOES_NOT:
        return (
            "look at what else is behind this device (it may pass on the traffic of another) before it is taken off "
            "the network."
        )
    return (
        "take the device off the network, restart it (most of this malware lives in memory only), change its password, "
        "bring its firmware up to date, and close Telnet and the web interface to the outside before it goes back."
    )


def moment(ns: int) -> str:
    """A time to the second, for people.

    >>> moment(1_767_225_600_123_000_000)
    '2026-01-01T00:00:00Z'
    """
    return timestamp(ns - ns % SECOND)


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "session"), counted(2_000, "time")
    ('1 session', '2,000 times')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(text: str) -> str:
    """Printable, at most 200 characters.

    >>> plain("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)[:200]


def shown(kind: str, value: str) -> str:
    """A value of a behaviour as a person may see it: URLs that nothing will follow.

    >>> shown("url-base", "http://192.0.2.1/bins/x.")
    'hxxp://192[.]0[.]2[.]1/bins/x.'
    """
    text = plain(value)
    if "://" in text:
        scheme, rest = text.split("://", 1)
        host, slash, path = rest.partition("/")
        text = f"{scheme.replace('tt', 'xx')}://{host.replace('.', '[.]')}{slash}{path}"
    return text
