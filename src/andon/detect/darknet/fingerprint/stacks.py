"""What TCP stacks fill in by themselves, so that a constant of one field is not taken for a tool's mark.

Windows of SYN packets are those of the passive fingerprints of p0f 3.09 (Zalewski, ``p0f.fp``, section tcp:request):
multiples of the segment size for Linux (4 in 2.4 and 2.6, 10 in 3.1 to 3.10, 20 from 3.11 on; 11, 20 and 22 in
2.2), Android (44) and Solaris (34), fixed values for the others. Linux 4.20 changed it to as many segments as fit into
65,535 ("tcp: up initial rmem to 128KB and SYN rwin to around 64KB", commit a337531b942b of 2018): 44 of 1,460 bytes,
45 of 1,448. Public lists give 64,240 for Windows 10 as well. 65,535 is ZMap's and 1,024 Masscan's and Nmap's window too
(their sources), which is why no window alone names a tool. An IP identification of zero is common while DF is set
(RFC 6864 allows any value then); 54,321 is no system's, it is ZMap's before 4.1 (its change log).
"""

from __future__ import annotations

from andon.records.expression import Comparison, Const, ExpressionError, Field, parse

_NO_SYSTEM = "no common system"
_WINDOWS = {
    8192: "Windows 7 and 8",
    16384: "Windows XP, OpenBSD",
    32768: "HP-UX, Tru64, consoles",
    65535: "macOS, iOS, FreeBSD, Windows XP; ZMap sends it too",
    1024: f"{_NO_SYSTEM}; Nmap and Masscan send it",
    2048: f"{_NO_SYSTEM}; Nmap sends it",
    3072: f"{_NO_SYSTEM}; Nmap sends it",
    4096: f"{_NO_SYSTEM}; Nmap and Unicornscan send it",
}
_SEGMENTS = {
    4: "Linux 2.4 and 2.6",
    10: "Linux 3.1 to 3.10",
    11: "Linux 2.2",
    20: "Linux 3.11 to 4.19",
    22: "Linux 2.2",
    34: "Solaris 10",
    44: "Linux since 4.20, Android, Windows 10",
    45: "Linux since 4.20",
}
# Ethernet, with timestamps, PPPoE, PPPoE with timestamps, mobile networks and tunnels.
_SEGMENT_SIZES = (1460, 1448, 1452, 1440, 1436, 1430, 1412, 1400, 1380, 1360)
_TTLS = {
    32: "old Windows",
    64: "Linux, macOS, BSD",
    128: "Windows",
    255: "Solaris, routers; Masscan and ZMap send it too",
}


def stack_of(relation: str) -> str:
    """What is known of a constant of one field: the systems that fill it in by themselves, or tools if no system does;
    "" where nothing is known, or for another kind of relation.

    >>> stack_of("tcp.window == 14600"), stack_of("tcp.window == 65160"), stack_of("ip.id == 54321")
    ('Linux 3.1 to 3.10 (10 segments of 1460)', 'Linux since 4.20 (45 segments of 1448)', '')
    """
    try:
        made = parse(relation)
    except ExpressionError:
        return ""
    if not (isinstance(made, Comparison) and made.op == "=="):
        return ""
    if not (isinstance(made.left, Field) and isinstance(made.right, Const)):
        return ""
    value = made.right.value
    if made.left.name == "tcp.window":
        return _WINDOWS.get(value) or _by_segments(value)
    if made.left.name == "ip.ttl":
        return _TTLS.get(value, "")
    if made.left.name == "ip.id":
        return "" if value else "Linux and others while DF is set"
    return ""


def is_default(relation: str) -> bool:
    """Whether the relation is a constant that some system fills in by itself.

    >>> is_default("tcp.window == 14600"), is_default("tcp.window == 1024"), is_default("tcp.window == 6703")
    (True, False, False)
    """
    systems = stack_of(relation)
    return bool(systems) and not systems.startswith(_NO_SYSTEM)


def _by_segments(window: int) -> str:
    for size in _SEGMENT_SIZES:
        count, rest = divmod(window, size)
        if not rest and count in _SEGMENTS:
            return f"{_SEGMENTS[count]} ({count} segments of {size})"
    return ""
