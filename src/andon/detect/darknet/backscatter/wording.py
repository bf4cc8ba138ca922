"""Numbers, times and addresses as a telescope operator reads them, and relations as a checker runs them."""

from __future__ import annotations

from andon.detect.darknet.backscatter import classes
from andon.detect.darknet.backscatter.services import NAMES
from andon.records.finding import timestamp


def dotted(address: int) -> str:
    """
    >>> dotted(0xC0000201)
    '192.0.2.1'
    """
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def duration(nanoseconds: int) -> str:
    """
    >>> duration(146_809_000), duration(90_000_000_000), duration(4 * 3600 * 10**9)
    ('0.15 s', '90 s', '4.0 h')
    """
    seconds = nanoseconds / 1e9
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 180:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def clock(ns: int) -> str:
    """Time of day in UTC to the second, with the date.

    >>> clock(1_767_225_600_000_000_000)
    '2026-01-01 00:00:00'
    """
    return timestamp(ns - ns % 1_000_000_000)[:19].replace("T", " ")


def about(number: float) -> str:
    """Two significant digits, as an estimate deserves.

    >>> about(12_345.6), about(0.034)
    ('12,000', '0.034')
    """
    if number < 10:
        return f"{number:.2g}"
    digits = len(str(int(number))) - 2
    return f"{round(number / 10**digits) * 10**digits:,}"


def flavours_text(flavours: list[int]) -> str:
    """``6,651 SYN-ACK, 813 RST`` from packets by flavour, most first."""
    named = [(count, classes.FLAVOURS[n]) for n, count in enumerate(flavours) if count and n != classes.TALK]
    return ", ".join(f"{count:,} {name}" for count, name in sorted(named, reverse=True))


def ports_text(ports: list[tuple[int, int]], udp: bool, most: int = 5) -> str:
    """``80 (87 %), 443 (13 %)``: ports with their shares, at most ``most`` of them."""
    total = sum(packets for _, packets in ports) or 1
    parts = [
        f"{port}{f' {NAMES[port]}' if udp and port in NAMES else ''} ({packets / total:.0%})"
        for port, packets in ports[:most]
    ]
    rest = len(ports) - most
    return ", ".join(parts) + (f" and {rest:,} more" if rest > 0 else "")


def relation(side: str, address: int, flavour: int | None = None, port: int | None = None) -> str:
    """The expression that selects answers of one flavour (None: all packets) from or to an address.

    >>> relation("src", 0xCB007105, classes.SYN_ACK)
    'ip.src == 0xCB007105 and tcp.flags & 0x17 == 0x12'
    """
    text = f"ip.{side} == 0x{address:08X}"
    if flavour == classes.SYN_ACK:
        return f"{text} and tcp.flags & 0x17 == 0x12"
    if flavour in (classes.RST, classes.RST_ACK):
        return f"{text} and tcp.flags & 0x7 == 0x4"
    if flavour == classes.UDP_ANSWER and port is not None:
        return f"{text} and udp.srcport == {port}"
    return text
