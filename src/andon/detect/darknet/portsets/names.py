"""Port sets as text and as relations: codes are ports, plus 65,536 for UDP."""

from __future__ import annotations

from collections.abc import Iterable

_UDP = 1 << 16
_SYN = "tcp.flags & 0x3f == 2"


def text(codes: Iterable[int]) -> str:
    """A set as a reader writes it, TCP ports bare.

    >>> text((23, 2323, 65536 + 53))
    '23,2323,udp/53'
    """
    return ",".join(f"udp/{code - _UDP}" if code >= _UDP else str(code) for code in sorted(codes))


def codes(written: str) -> tuple[int, ...]:
    """Back from text; () for "".

    >>> codes("23,2323,udp/53")
    (23, 2323, 65589)
    """
    return tuple(
        _UDP + int(part[4:]) if part.startswith("udp/") else int(part) for part in written.split(",") if part
    )


def relation(ports: Iterable[int]) -> str:
    """SYN packets to the TCP ports of a set, and datagrams to its UDP ports.

    >>> relation((23, 2323))
    '(tcp.dstport == 23 or tcp.dstport == 2323) and tcp.flags & 0x3f == 2'
    """
    tcp = " or ".join(f"tcp.dstport == {code}" for code in sorted(ports) if code < _UDP)
    udp = " or ".join(f"udp.dstport == {code - _UDP}" for code in sorted(ports) if code >= _UDP)
    syn = f"({tcp}) and {_SYN}" if " or " in tcp else f"{tcp} and {_SYN}"
    if not udp:
        return syn
    return udp if not tcp else f"({syn}) or {udp}"
