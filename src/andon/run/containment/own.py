"""The machine's own addresses, which nothing may cut: from /proc, so that no program is started and nobody is asked."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

_LOCAL: Final = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")


def local_addresses(proc: Path = Path("/proc/net")) -> tuple[str, ...]:
    """Addresses of this network namespace's interfaces, without loopback and link-local ones; () where /proc does not
    say."""
    found: set[str] = set()
    with suppress(OSError):
        found |= set(_LOCAL.findall((proc / "fib_trie").read_text()))
    with suppress(OSError, ValueError, IndexError):
        for line in (proc / "if_inet6").read_text().splitlines():
            found.add(str(IPv6Address(int(line.split()[0], 16))))
    kept = [one for one in map(ip_address, found) if not one.is_loopback and not one.is_link_local]
    return tuple(sorted(map(str, kept)))
