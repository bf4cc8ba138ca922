"""Registered domains of host names by the public suffix list, many at a time.

The list (publicsuffix.org, as packaged with ``publicsuffixlist``; its private suffixes included, so that every customer
of a hosting platform is a domain of its own) has three kinds of rule: a suffix, a wildcard (``*.ck``) and an exception
from one (``!www.ck``). The longest that matches decides; a wildcard implies its root; a name that none matches has its
last label as suffix, so ``a.x.example`` belongs to ``x.example``. A name that is itself a suffix stands for itself.
Beyond the list: under a last label that it does not know (an organisation's own, or newer than the list) a second label
that countries use for categories (``co``, ``or``, ``ac``) is taken for part of the suffix, or everybody under it
would be one.

Names are walked from their end, once: a hash grows by one byte at a time and at each dot a table of the rules'
hashes is asked, so that the cost of a name is that of reading it. ``tests/edges`` checks the walk against the
library's.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

_RULE, _WILDCARD, _EXCEPTION = 1, 2, 4
_OFFSET: Final = np.uint64(0xCBF29CE484222325)  # FNV-1a
_PRIME: Final = np.uint64(0x100000001B3)
_FOLD: Final = np.uint64(0x9E3779B97F4A7C15)
_LABELS: Final = (
    "ac",
    "co",
    "com",
    "ed",
    "edu",
    "go",
    "gob",
    "gouv",
    "gov",
    "mil",
    "ne",
    "net",
    "or",
    "org",
    "sch",
)
_CATEGORIES: Final = np.array([int.from_bytes(label.encode(), "big") for label in _LABELS], np.int64)
_DOT, _COLON, _ZERO, _NINE = ord("."), ord(":"), ord("0"), ord("9")
NAME, ADDRESS_4, ADDRESS_6, NUMBER = 0, 1, 2, 3


@njit(cache=True, nogil=True, inline="always")
def slot_of(hashed: np.uint64, mask: np.uint64) -> np.uint64:
    """Where a hash of ``suffix_hashes`` begins to look in a table of ``mask`` + 1 places."""
    return ((hashed ^ (hashed >> np.uint64(29))) * _FOLD >> np.uint64(20)) & mask


@njit(cache=True, nogil=True)
def _fill(hashes: np.ndarray, keys: np.ndarray, values: np.ndarray) -> None:
    mask = np.uint64(keys.shape[0] - 1)
    for i in range(hashes.shape[0]):
        at = slot_of(hashes[i], mask)
        while values[at] >= 0:
            at = (at + np.uint64(1)) & mask
        keys[at], values[at] = hashes[i], i


def hash_table(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(keys uint64, positions int32; -1 where free) of an open-addressing table over hashes; equal hashes may
    repeat."""
    size = 16
    while size < 2 * len(hashes):
        size *= 2
    keys, values = np.zeros(size, np.uint64), np.full(size, -1, np.int32)
    _fill(hashes, keys, values)
    return keys, values


@njit(cache=True, nogil=True)
def _whole_hashes(data: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    for i in range(out.shape[0]):
        hashed = _OFFSET
        for at in range(offsets[i + 1] - 1, offsets[i] - 1, -1):
            hashed = (hashed ^ np.uint64(data[at])) * _PRIME
        out[i] = hashed


def suffix_hashes(texts: pa.Array) -> np.ndarray:
    """uint64 hash of each text, grown from its end, so that a walk over a name passes those of all its suffixes."""
    data, offsets = buffers(texts)
    out = np.empty(len(texts), np.uint64)
    _whole_hashes(data, offsets, out)
    return out


def buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(bytes, offsets int32 with one more than texts) of a ``pa.string`` array; nulls count as ""."""
    texts = texts.fill_null("") if texts.null_count else texts
    if not len(texts):
        return np.zeros(1, np.uint8), np.zeros(1, np.int32)
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return held, ends


@njit(cache=True, nogil=True, inline="always")
def kind_of_host(data: np.ndarray, start: int, end: int) -> int:
    """NAME, ADDRESS_4 (four numbers below 256), ADDRESS_6 (has a colon) or NUMBER (its last label is a number, as only
    other ways to write an address have)."""
    dots, number, digits, whole, in_range, last_digits = 0, 0, 0, True, True, True
    for at in range(start, end):
        byte = data[at]
        if byte == _COLON:
            return ADDRESS_6
        if byte == _DOT:
            whole = whole and 0 < digits < 4
            dots, number, digits, last_digits = dots + 1, 0, 0, True
        elif _ZERO <= byte <= _NINE:
            digits += 1
            number = min(number * 10 + byte - _ZERO, 1000)
            in_range = in_range and number < 256
        else:
            whole, last_digits = False, False
    if not last_digits or digits == 0:
        return NAME
    return ADDRESS_4 if whole and digits < 4 and dots == 3 and in_range else NUMBER


@njit(cache=True, nogil=True)
def _walk(
    data: np.ndarray,
    offsets: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    rules: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    suffix: np.ndarray,
    kind: np.ndarray,
) -> None:
    mask = np.uint64(keys.shape[0] - 1)
    for i in range(begin.shape[0]):
        first, last = offsets[i], offsets[i + 1]
        while last > first and data[last - 1] == _DOT:
            last -= 1
        begin[i], end[i], suffix[i] = first, last, False
        kind[i] = kind_of_host(data, first, last)
        if kind[i] != NAME:
            begin[i] = last
            continue
        # `length`: labels of the suffix that the longest rule so far asks for; `after`: where the label before it
        # began.
        hashed, labels, length, listed = _OFFSET, 0, 1, False
        starts = np.empty(16, np.int64)  # of the last labels; rules are far shorter
        for at in range(last - 1, first - 1, -1):
            byte = data[at]
            hashed = (hashed ^ np.uint64(byte)) * _PRIME
            if at > first and data[at - 1] != _DOT:
                continue
            if byte == _DOT and at > first:
                continue  # the dot itself has been put into the hash; the label before it is to come
            starts[labels] = at
            labels += 1
            slot = slot_of(hashed, mask)
            while values[slot] >= 0:
                if keys[slot] == hashed:
                    rule, listed = rules[values[slot]], True
                    if rule & _EXCEPTION:
                        length = labels - 1
                    elif rule & _WILDCARD:
                        length = labels + 1 if at > first else labels
                    else:
                        length = labels
                    break
                slot = (slot + np.uint64(1)) & mask
            if labels == 2 and not listed and starts[0] - at < 6:
                label = np.int64(0)
                for place in range(at, starts[0] - 1):
                    label = label << 8 | np.int64(data[place])
                for n in range(_CATEGORIES.shape[0]):
                    if label == _CATEGORIES[n]:
                        length = 2
            if labels == 16:
                break
        if length < labels:
            begin[i] = starts[length]
        else:
            suffix[i] = True


@njit(cache=True, nogil=True)
def _cut(data: np.ndarray, begin: np.ndarray, end: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    for i in range(begin.shape[0]):
        at = offsets[i]
        for place in range(begin[i], end[i]):
            out[at] = data[place]
            at += 1


@cache
def _rules() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The list as (keys, positions, kind of rule by position)."""
    from publicsuffixlist import PSLFILE

    found: dict[str, int] = {}
    with open(PSLFILE, encoding="utf-8") as lines:  # noqa: PTH123 - the library names its file by a text
        for line in lines:
            rule = line.split()[0].lower() if line.strip() else "//"
            if rule.startswith("//"):
                continue
            kind = _EXCEPTION if rule[0] == "!" else _WILDCARD if rule.startswith("*.") else _RULE
            name = rule.lstrip("!").removeprefix("*.")
            for written in {name, name if name.isascii() else name.encode("idna").decode()}:
                found[written] = found.get(written, 0) | kind
    keys, values = hash_table(suffix_hashes(pa.array(list(found), pa.string())))
    return keys, values, np.array(list(found.values()), np.int64)


def _walked(hosts: pa.Array) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """(registered domains, whether the name is a suffix, kind) of a plain array of names in lower case."""
    keys, values, rules = _rules()
    data, offsets = buffers(hosts)
    begin, end = np.empty(len(hosts), np.int64), np.empty(len(hosts), np.int64)
    suffix, kind = np.empty(len(hosts), np.bool_), np.empty(len(hosts), np.int8)
    _walk(data, offsets, keys, values, rules, begin, end, suffix, kind)
    ends = np.zeros(len(hosts) + 1, np.int32)
    np.cumsum(end - begin, out=ends[1:])
    out = np.empty(int(ends[-1]), np.uint8)
    _cut(data, begin, end, ends, out)
    return pa.StringArray.from_buffers(len(hosts), pa.py_buffer(ends), pa.py_buffer(out)), suffix, kind


def _plain(hosts: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(hosts, pa.ChunkedArray):
        hosts = hosts.combine_chunks()
    return pc.utf8_lower(hosts.cast(pa.string()))


def registered_domains(hosts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Registered domain of each host name (``pa.string`` or a dictionary of it), in lower case, without a dot at its
    end; "" for addresses and for "". Dictionaries stay dictionaries of as many words, which may then repeat.

    >>> registered_domains(pa.array(["a.b.co.uk", "me.github.io", "a.x.example.", "192.0.2.1"])).to_pylist()
    ['b.co.uk', 'me.github.io', 'x.example', '']
    """
    if isinstance(hosts, pa.ChunkedArray):
        hosts = hosts.combine_chunks()
    if pa.types.is_dictionary(hosts.type):
        words = registered_domains(hosts.dictionary)
        return pa.DictionaryArray.from_arrays(hosts.indices, words)
    return _walked(_plain(hosts))[0]


def registered_domain(host: str) -> str:
    """``registered_domains`` of one name.

    >>> registered_domain("www.city.kobe.jp"), registered_domain("[2001:db8::1]")
    ('city.kobe.jp', '')
    """
    return str(registered_domains(pa.array([host], pa.string()))[0])


def are_suffixes(hosts: pa.Array) -> np.ndarray:
    """Whether each name is itself a public suffix (or has but one label), so that nobody has registered it.

    >>> are_suffixes(pa.array(["github.io", "com", "a.com", "192.0.2.1"])).tolist()
    [True, True, False, False]
    """
    return _walked(_plain(hosts))[1]


def kinds_of_hosts(hosts: pa.Array) -> np.ndarray:
    """int8: NAME, ADDRESS_4, ADDRESS_6 or NUMBER of each.

    >>> kinds_of_hosts(pa.array(["a.example", "192.0.2.1", "2001:db8::1", "2130706433"])).tolist()
    [0, 1, 2, 3]
    """
    return _walked(_plain(hosts))[2]
