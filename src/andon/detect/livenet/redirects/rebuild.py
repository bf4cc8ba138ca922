"""From rows to a chain as it is told: texts, pauses, signs, class and probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.redirects.chain import AUTOMATIC, SECOND, Columns, back
from andon.detect.livenet.redirects.classes import Traits, log_odds
from andon.detect.livenet.redirects.ends import PRIOR, WEIGHTS, End
from andon.detect.livenet.redirects.kinds import ARCHIVE, PAGE, PROGRAM, is_lure, is_search, kind_of
from andon.records.domains import NAME, kinds_of_hosts, registered_domain, registered_domains
from andon.sketch.texts import text_keys
from andon.sketch.urlscore import UrlScorer

_URL: Final = r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*)(?::[0-9]*)?(?P<path>[/?][^#]*)?"
_ODD_PORTS: Final = (-1, 0, 80, 443)


@dataclass(frozen=True)
class Keyed(Columns):
    """``Columns`` with the keys that are remembered: of terminals and hosts."""

    terminal_key: np.ndarray
    host_key: np.ndarray


@dataclass(frozen=True)
class Told:
    """A chain. ``hops`` begin at the entry: URL, pause before it in s, sign; ``probability`` that it is malicious;
    ``odds`` of a drive-by; ``reasons``: what speaks for malice, with its weight."""

    terminal: str
    final: str
    host: str
    entry: str
    urls: tuple[str, ...]
    times: tuple[int, ...]
    gaps: tuple[float, ...]
    signs: tuple[str, ...]
    certainty: float
    outside: str
    kind: str
    black: str
    probability: float
    reasons: tuple[tuple[str, float], ...]
    traits: Traits
    odds: float
    terminal_key: int
    host_key: int


def columns_of(visits: pa.Table) -> Keyed:
    """Numbers of visits (VISITS, sorted by terminal and time)."""
    host, path = visits["host"].combine_chunks(), visits["path"].combine_chunks()
    referer, origin = _keys_of_urls(visits["referer"].combine_chunks(), None)
    location, _ = _keys_of_urls(visits["location"].combine_chunks(), host)
    status, ts = visits["status"].to_numpy(), visits["ts"].to_numpy()
    tunnel = visits["tunnel"].to_numpy(zero_copy_only=False)
    duration = np.where(tunnel, 0, np.clip(visits["duration"].to_numpy(), 0, 60 * SECOND))
    terminal = text_keys(visits["terminal"])
    return Keyed(
        terminal=np.unique(terminal, return_inverse=True)[1],
        ts=ts,
        done=ts + duration,
        url=text_keys(pc.binary_join_element_wise(host, _bare(path), "")),
        host=text_keys(host),
        domain=text_keys(registered_domains(host)),
        referer=referer,
        referer_host=origin,
        location=location,
        redirect=(status >= 300) & (status < 400) & (status != 304),
        tunnel=tunnel,
        page=~visits["refused"].to_numpy(zero_copy_only=False) & ~_fetched(visits),
        terminal_key=terminal,
        host_key=text_keys(host),
    )


def _fetched(visits: pa.Table) -> np.ndarray:
    """Mask of downloads: nobody clicks on in them."""
    typed = pc.match_substring_regex(
        visits["mime"], r"^application/(octet|x-ms|x-dos|zip|x-rar|x-7z|vnd\.ms|java-arch)"
    )
    named = pc.match_substring_regex(
        visits["path"], r"(?i)\.(exe|msi|cab|zip|rar|7z|iso|dll|apk|jar|pdf|gz|tar)(\?|$)"
    )
    return np.asarray(pc.or_(typed, named).to_numpy())


def _bare(paths: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(paths, "/"), "", paths)


def _keys_of_urls(urls: pa.Array, base: pa.Array | None) -> tuple[np.ndarray, np.ndarray]:
    """(keys of host and path, keys of hosts) of full URLs, 0 where there is none; with ``base``, hosts of relative
    ones."""
    there = pc.and_(pc.not_equal(urls, ""), pc.not_equal(urls, "-"))
    relative = pc.starts_with(urls, "/") if base is not None else pa.array(np.zeros(len(urls), np.bool_))
    found = pc.extract_regex(urls, pattern=_URL)
    host = pc.ascii_lower(pc.utf8_trim(pc.struct_field(found, "host").fill_null(""), characters="[]."))
    path = pc.struct_field(found, "path").fill_null("")
    if base is not None:
        host, path = pc.if_else(relative, base, host), pc.if_else(relative, urls, path)
    known = pc.and_(there, pc.not_equal(host, "")).to_numpy(zero_copy_only=False)
    zero = np.uint64(0)
    own = np.where(known, text_keys(pc.binary_join_element_wise(host, _bare(path), "")), zero)
    return own, np.where(known, text_keys(host), zero)


def told(visits: pa.Table, columns: Keyed, end: End, scorer: UrlScorer | None) -> Told | None:
    """The chain to an end; None where nothing led to it that the log shows."""
    chain = back(columns, end.row)
    if not chain.hops:
        return None
    rows = visits.take(pa.array(chain.rows)).to_pylist()
    if len({row["host"] for row in rows}) < 2 and not chain.outside:
        return None  # pages of one site
    urls = tuple(row["host"] + row["path"] for row in rows)
    gaps = tuple(hop.gap / SECOND for hop in chain.hops)
    signs = tuple(hop.sign for hop in chain.hops)
    domains = {registered_domain(row["host"]) for row in rows}
    before, last, first = rows[-2], rows[-1], rows[0]
    redirects = [_redirects(row) for row in rows]
    entry_domain = registered_domain(first["host"])
    lured = (
        is_lure(entry_domain, first["path"])
        or is_search(first["path"])
        or any(is_lure(registered_domain(row["host"]), row["path"]) for row in rows[1:-1])
        or (redirects[0] and not first["referer"])
    )
    score = 0.0
    if scorer is not None:
        score = float(scorer.scores(pa.array([before["host"]]), pa.array([before["path"]]))[0])
    numeric = bool(kinds_of_hosts(pa.array([last["host"]]))[0] != NAME)
    traits = Traits(
        gaps=gaps,
        signs=signs,
        redirects=sum(redirects[:-1]),
        domains=len(domains),
        lured=bool(lured),
        same_site=registered_domain(before["host"]) == registered_domain(last["host"]),
        guesses=sum(sign in ("time", "pause") for sign in signs),
        download=end.kind != PAGE,
        phishing=score,
        odd=numeric or last["port"] not in _ODD_PORTS,
    )
    why = dict(end.why)
    if end.kind in (PROGRAM, ARCHIVE) and gaps[-1] < AUTOMATIC / SECOND and not redirects[-2]:
        why["nobody clicked"] = WEIGHTS["nobody clicked"]
    if len(domains) >= 3:
        why["three domains"] = WEIGHTS["three domains"]
    odds = PRIOR + sum(why.values())
    return Told(
        terminal=last["terminal"],
        final=last["host"] + last["path"].split("?")[0],
        host=last["host"],
        entry=urls[0],
        urls=urls,
        times=tuple(row["ts"] for row in rows),
        gaps=gaps,
        signs=signs,
        certainty=chain.certainty,
        outside=first["referer"] if chain.outside else "",
        kind=end.kind,
        black=end.black,
        probability=float(1 / (1 + np.exp(-odds))),
        reasons=tuple(sorted(why.items(), key=lambda item: (-item[1], item[0]))),
        traits=traits,
        odds=log_odds(traits),
        terminal_key=int(columns.terminal_key[end.row]),
        host_key=int(columns.host_key[end.row]),
    )


def _redirects(row: dict[str, object]) -> bool:
    status = row["status"]
    return isinstance(status, int) and 300 <= status < 400 and status != 304


__all__ = ["Keyed", "Told", "columns_of", "kind_of", "told"]
