"""What never tells who stands behind a thing: shared services by the operator's lists and by their names.

Lists are those of MISP (github.com/MISP/misp-warninglists: ``type`` hostname, string, substring, cidr, regex;
``list``),
read by the command line and handed in as they are. Regular expressions of a list are not run: a hostile one could hold
the machine for ever; they are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Final

import numpy as np

from andon.records.infrastructure import ADDRESS, DOMAIN, NAME_SERVER, REGISTERED, REGISTRANT
from andon.triage.infrastructure.nodes import KIND, Numbered

# Services that register for others, by the words in their names.
_PRIVACY: Final = re.compile(
    r"privacy|whoisguard|whois ?agent|proxy|domains? by|identity ?(?:protect|shield)|perfect privacy|"
    r"whoistrust|anonymi[sz]e|"
    r"contactprivacy|withheldforprivacy|super ?privacy|id ?shield|"
    r"domain ?(?:protection|admin|administrator|manager|hostmaster)|"
    r"^(?:abuse|hostmaster|dns|noc|postmaster)@|dnstination|see privacyguardian"
)
# Providers of dynamic DNS, tunnels and free names that the public suffix list may lack.
_PARENTS: Final = frozenset(
    [
        "dyndns.org",
        "no-ip.org",
        "no-ip.com",
        "no-ip.biz",
        "no-ip.info",
        "ddns.net",
        "hopto.org",
        "zapto.org",
        "sytes.net",
        "myftp.org",
        "serveftp.com",
        "servehttp.com",
        "redirectme.net",
        "3322.org",
        "8800.org",
        "9966.org",
        "8866.org",
        "7766.org",
        "2288.org",
        "f3322.net",
        "changeip.com",
        "dynu.com",
        "dynu.net",
        "duckdns.org",
        "afraid.org",
        "mooo.com",
        "chickenkiller.com",
        "ignorelist.com",
        "strangled.net",
        "ngrok.io",
        "ngrok-free.app",
        "trycloudflare.com",
        "dyndns-ip.com",
        "gnway.net",
        "vicp.net",
        "xicp.net",
        "oicp.net",
        "yahoo.co.jp.to",
        "dns05.com",
        "ddns.us",
        "ddns.info",
        "000webhostapp.com",
        "weebly.com",
        "wixsite.com",
        "blogspot.com",
        "wordpress.com",
        "github.io",
        "pages.dev",
        "workers.dev",
        "web.app",
    ]
)


@dataclass
class Warnings:
    """Names (with all below them), exact values and prefixes that are no pivots; ``left_out``: entries that cannot be
    used."""

    suffixes: set[str] = field(default_factory=set)
    exact: set[str] = field(default_factory=set)
    networks: dict[tuple[int, int], set[int]] = field(
        default_factory=dict
    )  # (version, length) -> network numbers
    left_out: int = 0

    def add(self, document: Mapping[str, Any]) -> None:
        """One warning list. Raises ValueError for what is none."""
        entries, kind = document.get("list"), str(document.get("type", "string"))
        if not isinstance(entries, list):
            raise ValueError("not a MISP warning list: it has no array `list`")
        for entry in entries:
            if not isinstance(entry, str) or kind in ("regex", "substring"):
                self.left_out += 1
                continue
            text = entry.strip().lower()
            if "/" in text or kind == "cidr":
                try:
                    net = ip_network(text, strict=False)
                except ValueError:
                    self.left_out += 1
                    continue
                size = net.max_prefixlen - net.prefixlen
                self.networks.setdefault((net.version, net.prefixlen), set()).add(
                    int(net.network_address) >> size
                )
            elif kind == "hostname":
                self.suffixes.add(text.strip("."))
            else:
                self.exact.add(text.strip("."))

    def name(self, value: str) -> bool:
        """Whether a name, or one that it is under, is listed."""
        if value in self.exact:
            return True
        while value:
            if value in self.suffixes:
                return True
            value = value.partition(".")[2]
        return False

    def address(self, value: str) -> bool:
        if value in self.exact or not self.networks:
            return value in self.exact
        made = ip_address(value)
        width, whole = made.max_prefixlen, int(made)
        return any(
            version == made.version and whole >> (width - length) in held
            for (version, length), held in self.networks.items()
        )


def listed(graph: Numbered, warnings: Warnings) -> tuple[np.ndarray, np.ndarray]:
    """(bool by node: never a pivot by list or name; bool by node: a registered domain that strangers have names
    under)."""
    hub = np.zeros(len(graph.kinds), np.bool_)
    parents = np.zeros(len(graph.kinds), np.bool_)
    asked: tuple[tuple[str, Any], ...] = ((REGISTRANT, lambda text: bool(_PRIVACY.search(text))),)
    if warnings.suffixes or warnings.exact:
        asked += tuple((kind, warnings.name) for kind in (DOMAIN, REGISTERED, NAME_SERVER, REGISTRANT))
    if warnings.networks or warnings.exact:
        asked += ((ADDRESS, warnings.address),)
    for kind, test in asked:
        _mark(graph, kind, test, hub)
    _mark(graph, REGISTERED, _PARENTS.__contains__, parents)
    return hub, parents


def _mark(graph: Numbered, kind: str, test: Any, out: np.ndarray) -> None:
    at = np.flatnonzero(graph.kinds == KIND[kind])
    if len(at):
        texts: Iterable[str] = graph.values.take(at).to_pylist()
        out[at] |= np.fromiter((test(text) for text in texts), np.bool_, len(at))
