"""Colours of hosts and URLs by the black and white lists (``records.reputation``), for the few hosts of an hour.

A black entry for the host, its address or the URL itself wins; a domain entry covers all names below it; a white
entry of a list without ranks that is as specific as a black domain entry beats it, as in ``livenet.edges``."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

import pyarrow as pa

from andon.records.reputation import ADDRESS, BLACK, DOMAIN, HOST, PREFIX, URL, WHITE

GRAY: Final = "gray"
RANKED: Final = 100_000  # a place up to this on a popularity list makes a host white


class Lists:
    """Made once of ``Site.reputation``; asked by host."""

    def __init__(self, reputation: pa.Table | None) -> None:
        # By (type, value): the colours, each with the ports it holds for and the list's name.
        self._entries: dict[tuple[str, str], list[tuple[str, int, str]]] = {}
        self._prefixes: dict[tuple[int, int], dict[int, list[tuple[str, int, str]]]] = {}
        if reputation is None:
            return
        columns = (
            reputation[name].to_pylist()
            for name in ("value", "type", "colour", "port", "list", "rank", "family")
        )
        for value, kind, colour, port, name, rank, family in zip(*columns, strict=True):
            if colour == WHITE and rank > RANKED:
                continue
            entry = (colour, port, f"{name}/{family}" if family else name)
            if kind == PREFIX:
                self._prefix(value, entry)
            else:
                self._entries.setdefault((kind, value), []).append(entry)

    def _prefix(self, value: str, entry: tuple[str, int, str]) -> None:
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            return
        table = self._prefixes.setdefault((network.version, network.prefixlen), {})
        table.setdefault(int(network.network_address), []).append(entry)

    @lru_cache(maxsize=200_000)  # noqa: B019 - as long-lived as the engine
    def of(self, host: str, port: int) -> tuple[str, str]:
        """(colour, name of the list that says so) of a host."""
        found: list[tuple[int, str, str]] = []  # (how specific, colour, list)
        labels = host.split(".")
        for kind in (HOST, ADDRESS):
            found += [(1000, colour, name) for colour, name in self._at((kind, host), port)]
        for at in range(len(labels)):
            name_ = ".".join(labels[at:])
            found += [(len(labels) - at, colour, name) for colour, name in self._at((DOMAIN, name_), port)]
        found += self._by_prefix(host, port)
        black = max((each for each in found if each[1] == BLACK), default=None)
        white = max((each for each in found if each[1] == WHITE), default=None)
        if black is not None and (black[0] >= 1000 or white is None or white[0] < black[0]):
            return BLACK, black[2]
        return (WHITE, white[2]) if white is not None else (GRAY, "")

    def url(self, host: str, path: str) -> str:
        """Name of the list on which this very URL is black; ""."""
        for value in (host + path, host + path.partition("?")[0]):
            for colour, name in self._at((URL, value), -1):
                if colour == BLACK:
                    return name
        return ""

    def _at(self, key: tuple[str, str], port: int) -> list[tuple[str, str]]:
        return [(colour, name) for colour, held, name in self._entries.get(key, ()) if held in (-1, port)]

    def _by_prefix(self, host: str, port: int) -> list[tuple[int, str, str]]:
        if not self._prefixes or not (host[:1].isdigit() or ":" in host):
            return []
        try:
            address = ip_address(host)
        except ValueError:
            return []
        width = address.max_prefixlen
        found = []
        for (version, length), table in self._prefixes.items():
            if version == address.version:
                start = int(address) >> (width - length) << (width - length)
                found += [
                    (1000, colour, name) for colour, held, name in table.get(start, ()) if held in (-1, port)
                ]
        return found
