"""Scan or misconfiguration, and how many packets of one address outweigh forged ones: the rules with their reasons.

A machine that is infected goes through addresses; one that is badly configured asks one address again and again. So
the distinct dark addresses decide, together with the port:

* three addresses or more, or a tool's relation proven: a scan;
* names and time and logs (DNS, NTP, syslog, ...) asked for at one or two addresses: a typing error in the address of
  that server, as nobody scans two addresses for it;
* what is only ever broadcast on a local network (NetBIOS names, SSDP, mDNS, LLMNR, DHCP): a wrong netmask, or a
  tunnel;
* three or more packets to one address and one port: retries of a program that has the wrong address;
* anything else, above all a single packet: told as a scan at once, since that may be the first one of a slow scan; what
  turns out as retries is called a misconfiguration from the next message on.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp

import numpy as np

from andon.detect.darknet.daedalus.kernel import DESTINATIONS

TCP, UDP = 6, 17
SCAN_ADDRESSES = 3
RETRIES = 3
# Servers whose address is typed into a configuration: (protocol, port) -> what it is.
SERVERS: Mapping[tuple[int, int], str] = {
    (UDP, 53): "DNS", (TCP, 53): "DNS", (UDP, 123): "NTP", (UDP, 514): "syslog", (TCP, 514): "syslog",
    (TCP, 6514): "syslog over TLS", (UDP, 162): "SNMP traps", (UDP, 161): "SNMP", (UDP, 1812): "RADIUS",
    (UDP, 1813): "RADIUS accounting", (TCP, 389): "LDAP", (TCP, 636): "LDAPS", (TCP, 88): "Kerberos",
    (UDP, 88): "Kerberos", (UDP, 69): "TFTP", (TCP, 515): "printing (LPD)", (TCP, 631): "printing (IPP)",
    (TCP, 9100): "printing", (TCP, 3128): "web proxy", (UDP, 2055): "NetFlow", (UDP, 6343): "sFlow",
    (TCP, 179): "BGP", (UDP, 4789): "VXLAN",
}  # fmt: skip
BROADCASTS: Mapping[tuple[int, int], str] = {
    (UDP, 67): "DHCP", (UDP, 68): "DHCP", (UDP, 137): "NetBIOS names", (UDP, 138): "NetBIOS datagrams",
    (UDP, 1900): "SSDP", (UDP, 3702): "WS-Discovery", (UDP, 5353): "mDNS", (UDP, 5355): "LLMNR",
    (UDP, 17500): "Dropbox LAN sync",
}  # fmt: skip
_FREE = np.iinfo(np.uint64).max
_ALL_HASHES = 2.0**64
CHI_SQUARE = 31.4  # 15 degrees of freedom: passed by chance in 99.2 % of uniform samples
LEAST_FOR_UNIFORM = 32
_MISTAKES = 0.01  # addresses that chance may push over the mark
_MOST = 10_000


def distinct(dsts: np.ndarray) -> int:
    """Distinct dark addresses from the lowest hashes: exact below 16, then an estimate (24 % standard error)."""
    kept = int(np.count_nonzero(dsts != _FREE))
    if kept < DESTINATIONS:
        return kept
    return max(kept, round((DESTINATIONS - 1) / (float(dsts[-1]) / _ALL_HASHES)))


def is_misconfiguration(
    ports: Mapping[tuple[int, int], int], addresses: int, packets: int, tool: bool
) -> bool:
    """See the module text; ``ports``: (protocol, port) -> packets."""
    if tool or not ports:
        return False
    if all(port in BROADCASTS for port in ports):
        return True
    if addresses >= SCAN_ADDRESSES:
        return False
    if all(port in SERVERS for port in ports):
        return True
    return addresses == 1 and len(ports) == 1 and packets >= RETRIES


def outweighs_forged(forged_packets: int, addresses: int) -> int:
    """Packets of one address that forged ones, spread evenly over so many addresses, would hardly give any of them:
    the least n >= 2 with addresses * P(Poisson >= n) below 0.01.

    >>> outweighs_forged(10, 1 << 16), outweighs_forged(10_000_000, 1 << 24)
    (2, 11)
    """
    mean = forged_packets / max(1, addresses)
    if mean > 50:  # normal tail, six standard deviations and more
        return int(mean + 7 * mean**0.5) + 2
    term = exp(-mean)
    below = term  # P(Poisson < n)
    n = 1
    while n < _MOST:
        tail = max(0.0, 1.0 - below)
        if tail < 1e-12:  # cancellation: sum the first terms of the tail instead
            tail = term * mean / n * 1.5
        if n >= 2 and addresses * tail < _MISTAKES:
            return n
        term *= mean / n
        below += term
        n += 1
    return n


def uniform(bins: np.ndarray) -> bool:
    """Whether counts in equal parts of the address space are as even as forged sources are."""
    total = int(bins.sum())
    if total < LEAST_FOR_UNIFORM:
        return False
    expected = total / len(bins)
    return float(((bins - expected) ** 2).sum() / expected) <= CHI_SQUARE
