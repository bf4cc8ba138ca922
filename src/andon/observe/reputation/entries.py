"""What stands in a list, as entries: which kind of thing a value is, and whether it can stand there at all.

Values come as columns, so that a list of a million entries takes seconds: names and IPv4 addresses are told apart
by one walk over their bytes (``records.domains``), only what is left goes through a Python loop.

Refused, counted and said:

* what would match everything or half the world: "", single labels, public suffixes as domains on a black list (``com``,
  ``github.io``: a black entry for a hosting platform would make all its customers black), prefixes wider than /8
  (IPv6: /16);
* what is on everybody's machine: ``localhost``, loopback, unspecified and link-local addresses;
* what is no name, address, prefix or URL.

On a white list a public suffix is an entry for that name alone: whoever trusts ``github.io`` has not trusted its
customers.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.lists import Skipped
from andon.records.domains import ADDRESS_4, NAME, are_suffixes, kinds_of_hosts
from andon.records.reputation import ADDRESS, BLACK, DOMAIN, HOST, PREFIX, REPUTATION, URL, WHITE

RAW: Final = pa.schema(
    [
        pa.field("value", pa.string()),
        pa.field("line", pa.int64()),  # where it stands, from 1
        pa.field("type", pa.string()),  # as the list says; "" to be found out
        pa.field("colour", pa.string()),  # "black", "white"; "" as the operator says
        pa.field("port", pa.int32()),
        pa.field("list", pa.string()),  # "" for the name of the file
        pa.field("family", pa.string()),
        pa.field("added", pa.timestamp("ns", tz="UTC")),
        pa.field("rank", pa.int64()),
    ]
)
_LABEL: Final = r"[a-z0-9_\x{80}-\x{10FFFF}]([a-z0-9_\x{80}-\x{10FFFF}-]{0,61}[a-z0-9_\x{80}-\x{10FFFF}])?"
_NAME: Final = rf"^{_LABEL}(\.{_LABEL})+$"
_LONGEST: Final = 253
_AT_ONCE: Final = 1 << 17  # rows that are looked at together, so that memory depends little on the list
_LONGEST_URL: Final = 2048
_PORT: Final = re.compile(r"\[?([^\[\]]*)\]?:([0-9]{1,5})")
_WIDEST: Final = {4: 8, 6: 16}


class Raw:
    """Rows of ``RAW`` as they are read one by one."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, str, str, int, str, str, int | None, int]] = []

    def add(
        self,
        value: str,
        line: int,
        type: str = "",
        colour: str = "",
        port: int = -1,
        list: str = "",
        family: str = "",
        added: int | None = None,
        rank: int = -1,
    ) -> None:
        self._rows.append((value, line, type, colour, port, list, family, added, rank))

    def table(self) -> pa.Table:
        if not self._rows:
            return RAW.empty_table()
        columns = zip(*self._rows, strict=True)
        arrays = [
            pa.array(c, _stored(each.type)).cast(each.type) for c, each in zip(columns, RAW, strict=True)
        ]
        return pa.table(arrays, schema=RAW)


def _stored(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def raw_table(rows: int, **columns: pa.Array) -> pa.Table:
    """A table of ``RAW`` with the columns given, the others empty."""
    empty = {"port": -1, "rank": -1, "added": None}
    made = []
    for each in RAW:
        given = columns.get(each.name)
        if given is None and each.name == "line":
            given = pa.array(np.arange(1, rows + 1))
        if given is None:
            given = pa.repeat(pa.scalar(empty.get(each.name, ""), each.type), rows)
        made.append(given.cast(each.type))
    return pa.table(made, schema=RAW)


def entries(raw: pa.Table, name: str, colour: str | None, skipped: Skipped) -> pa.Table:
    """Entries of ``records.reputation`` of a table of ``RAW``; ``colour`` is that of rows that say none."""
    parts = [
        _entries(raw.slice(at, _AT_ONCE).combine_chunks(), name, colour, skipped)
        for at in range(0, raw.num_rows, _AT_ONCE)
    ]
    return _once(pa.concat_tables([RAW.empty_table(), *parts]))


def _entries(raw: pa.Table, name: str, colour: str | None, skipped: Skipped) -> pa.Table:
    raw = _put(raw, "colour", _filled(raw, "colour", colour or ""))
    raw = _put(raw, "list", _filled(raw, "list", name))
    raw = raw.filter(~pc.field("colour").isin(["gray", "grey"]))  # what nobody has judged
    known = pc.field("colour").isin([BLACK, WHITE])
    _refuse(raw.filter(~known), "no colour: say whether the list is black or white", skipped)
    raw = _split(raw.filter(known), skipped)
    named = pc.field("type").isin([DOMAIN, HOST])
    return pa.concat_tables([_names(raw.filter(named), skipped), raw.filter(~named)])


def _put(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    n = table.schema.get_field_index(name)
    return table.set_column(n, table.schema.field(n), values)


def _filled(table: pa.Table, name: str, default: str) -> pa.ChunkedArray:
    values = table[name].fill_null("")
    return pc.if_else(pc.equal(values, ""), pa.scalar(default, pa.string()), values)


def _refuse(rows: pa.Table, reason: str, skipped: Skipped) -> None:
    for line, value in zip(*(rows.slice(0, 3)[name].to_pylist() for name in ("line", "value")), strict=True):
        skipped.add(f"line {line}: {value[:60]!r}: {reason}")
    skipped.lines += max(rows.num_rows - 3, 0)


def _split(raw: pa.Table, skipped: Skipped) -> pa.Table:
    """Values in their final form, with their type and port. Names are not looked at yet."""
    values = pc.utf8_trim_whitespace(raw["value"].fill_null("")).combine_chunks()
    # Reports are written so that nobody clicks (hxxp, example[.]com); ad blockers have a grammar of their own.
    odd = np.flatnonzero(np.asarray(pc.match_substring_regex(values, r"\[|\(dot\)|^hxxp|^\|"), bool))
    if len(odd):
        mended = pa.array([_refanged(value) for value in values.take(pa.array(odd)).to_pylist()], pa.string())
        place = np.arange(len(values))
        place[odd] = len(values) + np.arange(len(odd))
        values = pa.concat_arrays([values, mended]).take(pa.array(place))
    given = raw["type"].fill_null("").combine_chunks()
    not_url = pc.not_equal(given, URL)
    small = pc.utf8_rtrim(pc.utf8_lower(values), ".")
    with_port = pc.and_(
        not_url, pc.match_substring_regex(small, r"^[^:/\[\]\s]+:[0-9]{1,4}$|^[^:/\[\]\s]+:[1-5][0-9]{4}$")
    )
    port = pc.if_else(with_port, pc.replace_substring_regex(small, "^.*:", ""), pa.scalar("-1"))
    number = np.where(
        np.asarray(with_port), np.asarray(port.cast(pa.int32())), np.asarray(raw["port"].fill_null(-1))
    )
    raw = _put(raw, "port", pa.array(number.astype(np.int32)))
    small = pc.if_else(with_port, pc.replace_substring_regex(small, ":[0-9]+$", ""), small)
    kinds = kinds_of_hosts(small)
    simple = ~np.asarray(pc.match_substring_regex(small, r"[:/*|\s]"), bool)
    star = np.asarray(pc.match_substring_regex(small, r"^(\*\.|\.)[^*:/|\s]+$"), bool)
    names = (kinds == NAME) & (simple | star) & np.asarray(not_url, bool) & (number != 0)
    plain = (kinds == ADDRESS_4) & simple & np.asarray(not_url, bool) & (number != 0)
    typed = pc.if_else(pc.is_in(given, pa.array([HOST, DOMAIN])), given, pa.scalar(DOMAIN, pa.string()))
    typed = pc.if_else(pa.array(star), pa.scalar(DOMAIN, pa.string()), typed)
    parts = [
        _changed(raw, names, pc.replace_substring_regex(small, r"^(\*\.|\.)", ""), typed),
        _harmful(_changed(raw, plain, small, pa.repeat(ADDRESS, len(small))), skipped),
    ]
    left = pa.array(~names & ~plain)
    rest, found, keep = raw.filter(left), [], []
    for n, (value, kind) in enumerate(
        zip(values.filter(left).to_pylist(), given.filter(left).to_pylist(), strict=True)
    ):
        try:
            found.append(_one(value, kind))
            keep.append(n)
        except ValueError as error:
            _refuse(rest.slice(n, 1), str(error), skipped)
    if found:
        kept = rest.take(pa.array(keep, pa.int64()))
        value, kind, port = (pa.array(list(part)) for part in zip(*found, strict=True))
        old, new = np.asarray(kept["port"]), np.asarray(port)
        kept = _put(_put(kept, "value", value), "type", kind)
        parts.append(_put(kept, "port", pa.array(np.where(new >= 0, new, old).astype(np.int32))))
    return pa.concat_tables(parts)


def _refanged(value: str) -> str:
    value = re.sub(r"(?i)^hxxp", "http", value)
    value = value.replace("[.]", ".").replace("(dot)", ".").replace("[:]", ":").replace("[://]", "://")
    # Rules of ad blockers for a whole domain.
    match = re.fullmatch(r"\|\|([^/^*|]+)\^(?:\$\S*)?", value)
    return match[1] if match else value


def _changed(raw: pa.Table, mask: np.ndarray, values: pa.Array, types: pa.Array) -> pa.Table:
    where = pa.array(mask)
    table = raw.filter(where)
    return _put(_put(table, "value", values.filter(where)), "type", types.filter(where))


def _harmful(table: pa.Table, skipped: Skipped) -> pa.Table:
    """IPv4 addresses without those of everybody's own machine."""
    own = pc.match_substring_regex(table["value"], r"^(0\.|127\.|169\.254\.|255\.255\.255\.255$)")
    _refuse(table.filter(own), "an address of every machine", skipped)
    return table.filter(pc.invert(own))


def _one(value: str, said: str) -> tuple[str, str, int]:
    """(value, type, port) of what is neither a plain name nor an IPv4 address. Raises ValueError saying why not."""
    if not value:
        raise ValueError("nothing there")
    if "://" not in value and said != URL:
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            network = None
        if network is not None and "/" in value and network.prefixlen < network.max_prefixlen:
            if network.prefixlen < _WIDEST[network.version]:
                raise ValueError(
                    f"a prefix wider than /{_WIDEST[network.version]} would match half the world"
                )
            _own(network.network_address)
            return str(network), PREFIX, -1
        if network is not None:
            _own(network.network_address)
            return str(network.network_address), ADDRESS, -1
        match = _PORT.fullmatch(value)
        if match is not None:
            kind, name = _host(match[1])
            if not 0 < int(match[2]) < 65536:
                raise ValueError("no such port")
            return name, kind, int(match[2])
    if "/" in value or said == URL:
        rest = value.split("://", 1)[-1]
        host, _, path = rest.partition("/")
        host = host.rpartition("@")[2].lower()
        _host(_PORT.sub(r"\1", host))
        if len(rest) > _LONGEST_URL:
            raise ValueError(f"longer than {_LONGEST_URL} characters")
        return f"{host}/{path}".split("#")[0], URL, -1
    raise ValueError("not a name, address, prefix or URL")


def _host(text: str) -> tuple[str, str]:
    """(type, value) of the part before a port. Raises ValueError."""
    try:
        address = ip_address(text)
    except ValueError:
        name = text.lower().rstrip(".").removeprefix("*.")
        if len(name) > _LONGEST or not re.fullmatch(
            _NAME.replace(r"\x{80}", "\x80").replace(r"\x{10FFFF}", "\U0010ffff"), name
        ):
            raise ValueError("not a host name") from None
        return DOMAIN, name
    _own(address)
    return ADDRESS, str(address)


def _own(address: object) -> None:
    if any(getattr(address, name) for name in ("is_loopback", "is_unspecified", "is_link_local")):
        raise ValueError("an address of every machine")


def _names(table: pa.Table, skipped: Skipped) -> pa.Table:
    """Names that can stand on a list."""
    table = table.combine_chunks()
    if not table.num_rows:
        return table
    values = table["value"].combine_chunks()
    local = pc.match_substring_regex(values, r"(^|\.)(localhost|localdomain|in-addr\.arpa|ip6\.arpa)$")
    good = pc.and_(pc.match_substring_regex(values, _NAME), pc.less_equal(pc.binary_length(values), _LONGEST))
    suffix = are_suffixes(values)
    single = ~np.asarray(pc.match_substring(values, "."), bool)
    black = np.asarray(pc.equal(table["colour"], BLACK), bool)
    domain = np.asarray(pc.equal(table["type"], DOMAIN), bool)
    everything = np.asarray(local, bool) | single
    wrong = ~everything & ~np.asarray(good, bool)
    # Where any name in its place is a suffix too (``*.localto.net``), it is one customer's and stands for itself.
    one_of_many = suffix & are_suffixes(pc.replace_substring_regex(values, r"^[^.]*", "any-other-name"))
    platform = ~everything & ~wrong & suffix & black & domain & ~one_of_many
    _refuse(
        table.filter(pa.array(everything)), "a name of every machine, or a whole top-level domain", skipped
    )
    _refuse(table.filter(pa.array(wrong)), "not a host name", skipped)
    _refuse(
        table.filter(pa.array(platform)), "a public suffix: it would make all its customers black", skipped
    )
    alone = pa.array(suffix & domain & (~black | one_of_many))
    table = _put(table, "type", pc.if_else(alone, pa.scalar(HOST, pa.string()), table["type"]))
    return table.filter(pa.array(~(everything | wrong | platform)))


def _once(table: pa.Table) -> pa.Table:
    """Each entry once, at its earliest date and best rank, in the order of the list."""
    if not table.num_rows:
        return REPUTATION.empty_table()
    table = _put(table, "port", table["port"].fill_null(-1))
    table = _put(table, "rank", table["rank"].fill_null(-1))
    table = _put(table, "family", table["family"].fill_null(""))
    by = ["value", "type", "colour", "port", "list", "family"]
    grouped = table.group_by(by, use_threads=False).aggregate(
        [("added", "min"), ("rank", "min"), ("line", "min")]
    )
    grouped = grouped.rename_columns([*by, "added", "rank", "line"]).sort_by("line")
    return pa.table([grouped[each.name].cast(each.type) for each in REPUTATION], schema=REPUTATION)
