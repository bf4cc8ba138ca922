"""Destinations: popular sites with their content networks, sites of departments and of single users, the long tail,
software that calls home, places of risk, and the attackers' hosts.

Rates of suspicious shapes (``names``, ``paths.ODD``): malicious hosts 35 % of names (random 15, lure 12, bare address
8) and 45 % of paths; benign rare hosts 3.5 % of names (random 1.5, lure 0.5, address 1.5) and 4 % of paths. How a host
is reached (tunnel, opened tunnel, plain HTTP, odd port) does not depend on what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import names
from .people import People
from .scenario import Scenario

KINDS: Final = (
    "web", "cdn", "niche", "personal", "tail", "telemetry", "update", "subdomain", "shortener", "streaming",
    "download", "free-hosting", "malicious", "listed",
)  # fmt: skip
(WEB, CDN, NICHE, PERSONAL, TAIL, TELEMETRY, UPDATE, SUBDOMAIN, SHORTENER, STREAMING, DOWNLOAD, FREE, MALICIOUS,
 LISTED) = range(14)  # fmt: skip
CONNECT, OPENED, PLAIN, ODD_PORT = range(4)
ODD_BENIGN, ODD_MALICIOUS = 0.04, 0.45
_SHAPES_BENIGN, _SHAPES_MALICIOUS = (0.965, 0.015, 0.005, 0.015), (0.65, 0.15, 0.12, 0.08)
EMBEDS: Final = 8
NICHES: Final = 30  # sites of a department
PLATFORMS: Final = 6
FARMS: Final = 8  # domains with a random name for every visit


@dataclass(frozen=True)
class Sites:
    """Columns by host. ``ranges``: first host and number of each kind (``web``: of sites; each has three hosts)."""

    names: pa.Array
    kind: np.ndarray
    via: np.ndarray
    port: np.ndarray
    server: np.ndarray  # uint32
    odd: np.ndarray  # its paths have suspicious shapes
    pages: np.ndarray  # how many it has
    embeds: np.ndarray  # hosts that a page of it loads from, -1: none; (hosts, EMBEDS)
    ranges: dict[int, tuple[int, int]]
    white: np.ndarray  # rank on the list of popular domains, -1
    prefix: pa.Array = field(init=False)  # "https://host", "host:443"
    origin: pa.Array = field(init=False)  # as referers have it: "https://host"

    def __post_init__(self) -> None:
        scheme = pa.array(["", "https://", "http://", "http://"]).take(pa.array(self.via))
        port = np.where(self.via == CONNECT, ":443", "").astype("U5")
        odd = self.via == ODD_PORT
        port[odd] = np.char.add(":", self.port[odd].astype("U5"))
        made = pc.binary_join_element_wise(scheme, self.names, pa.array(port), "")
        object.__setattr__(self, "prefix", made)
        secure = pc.binary_join_element_wise("https://", self.names, "")
        object.__setattr__(self, "origin", pc.if_else(pa.array(self.via == CONNECT), secure, made))

    @property
    def count(self) -> int:
        return len(self.kind)

    def of(self, kind: int) -> np.ndarray:
        """Hosts of a kind (sites of WEB by their main host)."""
        first, number = self.ranges[kind]
        return first + np.arange(number) * (3 if kind == WEB else 1)


def sites(scenario: Scenario, who: People, malicious: int, listed: int) -> Sites:
    """All hosts. ``malicious``: how many the attackers have; ``listed``: black-listed ones nobody infects from here."""
    rng, n = scenario.rng("sites"), who.count
    tail = min(int(n * (8 + 1.5 * scenario.days)), 1_000_000)
    number = {
        WEB: int(np.clip(600 + n // 3, 600, 4000)), CDN: 160, NICHE: NICHES * who.departments, PERSONAL: 4 * n,
        TAIL: tail, TELEMETRY: 16 + who.departments + max(n // 40, 6), UPDATE: 6,
        SUBDOMAIN: FARMS * min(10 * n, 6000), SHORTENER: 12, STREAMING: 60, DOWNLOAD: 50,
        FREE: PLATFORMS * (20 + n // 4), MALICIOUS: malicious, LISTED: listed,
    }  # fmt: skip
    ranges: dict[int, tuple[int, int]] = {}
    hosts: dict[int, int] = {}
    place = 0
    for of_kind, many in number.items():
        hosts[of_kind] = many * (3 if of_kind == WEB else 1)
        ranges[of_kind] = (place, many)
        place += hosts[of_kind]
    kind = np.repeat(np.arange(14), [hosts[k] for k in range(14)]).astype(np.uint8)
    total = len(kind)
    label = names.labels(1000, total, rng)
    shape = np.zeros(total, np.int8)
    for of, shares in ((MALICIOUS, _SHAPES_MALICIOUS), (LISTED, _SHAPES_MALICIOUS), *((k, _SHAPES_BENIGN) for k in
                       (NICHE, PERSONAL, TAIL, TELEMETRY, DOWNLOAD))):  # fmt: skip
        mine = kind == of
        shape[mine] = rng.choice(4, int(mine.sum()), p=shares)
    known = label[: hosts[WEB] : 3]
    label = names.shaped(label, shape, known, rng)
    server = (0xC6120000 + rng.integers(1, 1 << 17, total)).astype(np.uint32)  # 198.18.0.0/15
    text = np.char.add(label, names.zones(total, rng))
    address = shape == names.ADDRESS
    text[address] = dotted(server[address])
    text = text.astype("U64")
    _subordinate(text, kind, hosts, ranges, rng)
    text = _different(text)
    via = rng.choice(4, total, p=[0.85 * (1 - scenario.inspect), 0.85 * scenario.inspect, 0.12, 0.03]).astype(
        np.uint8
    )
    odd = rng.random(total) < np.where((kind == MALICIOUS) | (kind == LISTED), ODD_MALICIOUS, ODD_BENIGN)
    white = np.full(total, -1, np.int64)
    _ranks(white, kind, number, rng)
    return Sites(
        names=pa.array(text), kind=kind, via=via, port=rng.choice([81, 8000, 8080, 8888], total).astype(np.int32),
        server=server, odd=odd, pages=np.minimum(rng.geometric(0.12, total), 60).astype(np.int32),
        embeds=_embeds(kind, ranges, rng), ranges=ranges, white=white,
    )  # fmt: skip


def dotted(addresses: np.ndarray) -> np.ndarray:
    """Addresses (uint32) as text."""
    parts = [(addresses >> shift & 255).astype("U3") for shift in (24, 16, 8, 0)]
    made = parts[0]
    for part in parts[1:]:
        made = np.char.add(np.char.add(made, "."), part)
    return made


def _subordinate(
    text: np.ndarray, kind: np.ndarray, hosts: dict[int, int], ranges: dict[int, tuple[int, int]],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Hosts that are names below another's domain."""
    web = hosts[WEB]
    main = np.arange(web) // 3 * 3
    prefix = np.array(["www.", "static.", "api."])[np.arange(web) % 3]
    text[:web] = np.char.add(prefix, text[:web][main])
    first = ranges[FREE][0]
    mine = np.arange(first, first + hosts[FREE])
    platform = first + np.arange(len(mine)) % PLATFORMS
    bare = np.char.partition(text[mine], ".")[:, 0]
    base = text[first : first + PLATFORMS].copy()
    text[mine] = np.char.add(np.char.add(bare, "."), base[platform - first])
    first = ranges[SUBDOMAIN][0]
    mine = np.arange(first, first + hosts[SUBDOMAIN])
    base = text[first : first + FARMS].copy()
    random = np.array([f"{v:x}" for v in rng.integers(1 << 40, 1 << 52, len(mine)).tolist()])
    text[mine] = np.char.add(np.char.add(random, "."), base[np.arange(len(mine)) % FARMS])


def _different(text: np.ndarray) -> np.ndarray:
    """Names that came twice (addresses, random ones) get a number."""
    for i in _again(text):
        number = f"198.19.{i >> 8 & 255}.{i & 255}"
        text[i] = number if text[i].replace(".", "").isdigit() else f"h{i}.{text[i]}"
    for i in _again(text):
        text[i] = f"n{i}.example"
    return text


def _again(text: np.ndarray) -> list[int]:
    """Places of names that stand before."""
    codes = pa.array(text).dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    again: list[int] = np.setdiff1d(np.arange(len(text)), first).tolist()
    return again


def _ranks(white: np.ndarray, kind: np.ndarray, number: dict[int, int], rng: np.random.Generator) -> None:
    """A list of popular domains knows most popular sites and networks, some platforms, shorteners and streams."""
    web = np.arange(number[WEB]) * 3
    ranked = web[rng.random(len(web)) < np.where(np.arange(len(web)) < len(web) * 0.7, 0.97, 0.5)]
    white[ranked] = 1 + ranked // 3 * 4 + rng.integers(0, 4, len(ranked))
    for of, share in (
        (CDN, 0.9),
        (SHORTENER, 0.5),
        (STREAMING, 0.3),
        (UPDATE, 1.0),
        (DOWNLOAD, 0.2),
        (TELEMETRY, 0.0),
    ):
        mine = np.nonzero(kind == of)[0]
        mine = mine[rng.random(len(mine)) < share]
        white[mine] = rng.integers(1, 20_000, len(mine))
    telemetry = np.nonzero(kind == TELEMETRY)[0][:16]  # of software that everybody has
    white[telemetry[::2]] = rng.integers(100, 20_000, len(telemetry[::2]))
    rest = np.nonzero(kind == TELEMETRY)[0][16:]  # two in five of the others call a popular vendor's domain
    rest = rest[rng.random(len(rest)) < 0.4]
    white[rest] = rng.integers(100, 20_000, len(rest))


def _embeds(kind: np.ndarray, ranges: dict[int, tuple[int, int]], rng: np.random.Generator) -> np.ndarray:
    total = len(kind)
    cdn, many = ranges[CDN]
    drawn = cdn + np.minimum(
        (rng.random((total, EMBEDS), dtype=np.float32) ** 2.2 * many).astype(np.int32), many - 1
    )
    used = rng.poisson(3.2, total)
    out = np.where(np.arange(EMBEDS) < used[:, None], drawn, -1).astype(np.int32)
    web = ranges[WEB][1] * 3
    main = np.arange(0, web, 3)
    out[main, 0] = main + 1
    api = rng.random(len(main)) < 0.5
    out[main[api], 1] = main[api] + 2
    some = rng.random(total) < 0.06  # an advertiser with a name for every visit: the kernel picks which
    out[some, EMBEDS - 1] = -2 - rng.integers(0, FARMS, int(some.sum()))
    out[kind == CDN] = -1
    return out
