"""Who sent a family's packets: sources that are proven, sources that are not, and senders that are made up."""

from __future__ import annotations

import ipaddress

import numpy as np

from andon.detect.darknet.fingerprint.measure import Measured, Packets

# This network, loopback, multicast and reserved: 13 % of addresses drawn at random, and nobody's. Private ones do not
# count: they are real senders in a laboratory.
_IMPOSSIBLE = tuple(ipaddress.ip_network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"))
_LEAST_IMPOSSIBLE = 5
_SPOOFED_SHARE = 0.05
_MANY = 200


def spoofed_share(sources: np.ndarray) -> float:
    """Share of the addresses (uint32) that cannot be anybody's; 0 where there are fewer than five such."""
    numbers = sources.astype(np.int64)
    impossible = np.zeros(len(numbers), np.bool_)
    for network in _IMPOSSIBLE:
        impossible |= (numbers >= int(network.network_address)) & (numbers <= int(network.broadcast_address))
    return float(impossible.mean()) if impossible.sum() >= _LEAST_IMPOSSIBLE else 0.0


def senders(m: Measured) -> np.ndarray:
    """Indices of the sources of a family, with those that are too slow to be proven one by one but too many for
    chance."""
    return np.union1d(m.family.sources, m.unproven) if m.excess else m.family.sources


def made_up(packets: Packets, m: Measured) -> bool:
    """Whether the senders are made up: some cannot send at all, or hundreds sent one packet each to one or two
    addresses, as nobody scans."""
    every = senders(m)
    if spoofed_share(packets.sample.src[every]) >= _SPOOFED_SHARE:
        return True
    if len(every) < _MANY or float((packets.sample.packets[every] == 1).mean()) < 0.95:
        return False
    return len(np.unique(packets.columns["dst"][m.rows])) <= 2
