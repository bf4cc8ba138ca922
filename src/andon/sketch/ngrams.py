"""Features of a URL as places in one hashed table, straight from the bytes of host and path.

A URL is read as it would be told on the phone: no scheme, no ``www.``, no port, no fragment, no slash at its end,
lower case (these encode who collected a list, not what the URL is). Four groups of features are made of it, each a
bag whose weights are summed and divided by the square root of its size, so that a long path does not drown the host:

* ``HOST``: byte 3-, 4- and 5-grams of ``^host$``,
* ``PATH``: the same of ``/path?query`` (at most ``LONGEST`` bytes), in places of their own,
* ``WORDS``: runs of letters of the host and of the path, and neighbouring pairs of them,
* ``SHAPE``: the public suffix (sites of a hosting platform have the platform's), counts and lengths in steps.

Hashed character n-grams with a linear model are the baseline that Vavra (CTU 2025) found strong under
folds by domain; groups, words and shape are ours (docs/urls.md tells what each of them is worth). The public suffix
is found in the walk over the host from its end, with a table of hashed rules (publicsuffix.org).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import numpy as np
from numba import njit

BITS: Final = 20
PLACES: Final = 1 << BITS
GROUPS: Final = 4
HOST, PATH, WORDS, SHAPE = 0, 1, 2, 3
LONGEST_HOST: Final = 120  # bytes; of a longer one its end
LONGEST: Final = 200  # bytes of path and query
ROOM: Final = 3 * (LONGEST_HOST + LONGEST) + 2 * (LONGEST_HOST + LONGEST) // 2 + 64  # features of a URL

_FNV: Final = np.uint64(0x100000001B3)
_BASIS: Final = np.uint64(0xCBF29CE484222325)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_DOWN: Final = np.uint64(64 - BITS)
_RULE: Final = np.uint64(0xFFFFFFFFFFFFFFFC)  # a rule's hash; its kind is in the two bits below
_NORMAL, _WILD, _EXCEPT = np.uint64(1), np.uint64(2), np.uint64(3)


@njit(cache=True, nogil=True, inline="always")
def _place(hashed: np.uint64) -> int:
    return int((hashed * _MIX) >> _DOWN)


@njit(cache=True, nogil=True, inline="always")
def _step(hashed: np.uint64, byte: int) -> np.uint64:
    return (hashed ^ np.uint64(byte)) * _FNV


@njit(cache=True, nogil=True, inline="always")
def _lower(byte: int) -> int:
    return byte + 32 if 65 <= byte <= 90 else byte


@njit(cache=True, nogil=True, inline="always")
def _is_vowel(c: int) -> bool:
    """a, e, i, o, u: bits 0, 4, 8, 14, 20 from a on."""
    return 97 <= c <= 117 and (0x104111 >> (c - 97)) & 1 == 1


@njit(cache=True, nogil=True)
def _grams(text: np.ndarray, n: int, salt: np.uint64, out: np.ndarray, at: int) -> int:
    """3-, 4- and 5-grams of ``text[:n]`` into ``out`` from ``at`` on; gives the next free place of ``out``."""
    for i in range(n - 2):
        h = _step(_step(_step(salt, text[i]), text[i + 1]), text[i + 2])
        out[at] = _place(h)
        at += 1
        if i + 3 < n:
            h = _step(h, text[i + 3])
            out[at] = _place(h)
            at += 1
            if i + 4 < n:
                out[at] = _place(_step(h, text[i + 4]))
                at += 1
    return at


@njit(cache=True, nogil=True)
def _words(text: np.ndarray, n: int, salt: np.uint64, out: np.ndarray, at: int) -> int:
    """Runs of two or more letters (bytes above 127 count as such) and pairs of neighbours."""
    before, h, length = np.uint64(0), salt, 0
    for i in range(n + 1):
        c = text[i] if i < n else 0
        if 97 <= c <= 122 or c >= 128:
            h = _step(h, c)
            length += 1
            continue
        if length >= 2:
            out[at] = _place(h)
            at += 1
            if before:
                out[at] = _place((before * _MIX) ^ h)
                at += 1
            before = h
        h, length = salt, 0
    return at


@njit(cache=True, nogil=True)
def _suffix(text: np.ndarray, n: int, rules: np.ndarray) -> tuple[int, int]:
    """(first byte of the public suffix, first byte of the registered domain) in a host name ``text[:n]``.

    ``rules``: table of ``rule_table``. A name that is itself a public suffix is its own registered domain."""
    mask = np.uint64(rules.shape[0] - 1)
    h, label = _BASIS, n
    suffix, wild, before = -1, False, n
    for i in range(n - 1, -2, -1):
        c = text[i] if i >= 0 else 46
        if c == 46:
            start = i + 1
            kind = np.uint64(0)
            slot = ((h & _RULE) * _MIX) >> np.uint64(40) & mask
            while rules[slot] != 0:
                if rules[slot] & _RULE == h & _RULE:
                    kind = rules[slot] & np.uint64(3)
                    break
                slot = (slot + np.uint64(1)) & mask
            if kind == _EXCEPT:
                return before, start
            if suffix < 0 or kind == _NORMAL or wild:
                suffix = start
            # `*.x` is written as x with the kind of a wildcard; x itself is then a suffix too.
            wild = kind == _WILD
            if wild:
                suffix = start
            before = start
        if i >= 0:
            h = _step(h, c)
    label = suffix
    if suffix > 0:
        label = suffix - 2
        while label >= 0 and text[label] != 46:
            label -= 1
        label += 1
    return suffix, label


@njit(cache=True, nogil=True, inline="always")
def _bucket(value: int) -> int:
    """Steps that widen: 0 1 2 3 4 5 6-7 8-9 10-12 13-16 17-20 21-26 27-36 37-52 53-84 85-..."""
    if value < 6:
        return value
    if value < 8:
        return 6
    if value < 10:
        return 7
    if value < 13:
        return 8
    if value < 17:
        return 9
    if value < 21:
        return 10
    if value < 27:
        return 11
    if value < 37:
        return 12
    if value < 53:
        return 13
    return 14 if value < 85 else 15


@njit(cache=True, nogil=True, inline="always")
def _fact(number: int, value: int, other: np.uint64) -> int:
    """Place of shape feature ``number`` with a value, in the company of another hash (0: alone)."""
    own = (np.uint64(number) * np.uint64(4099) + np.uint64(value) + np.uint64(77)) * _FNV
    return int(((own ^ (other * _MIX)) * _MIX) >> _DOWN)


@njit(cache=True, nogil=True)
def _shape(
    host: np.ndarray, n: int, path: np.ndarray, m: int, rules: np.ndarray, out: np.ndarray, at: int
) -> int:
    digits = hyphens = dots = letters = vowels = longest = run = 0
    last = 3
    changes = 0
    address = True
    for i in range(n):
        c = host[i]
        if 48 <= c <= 57:
            digits += 1
        elif c == 45:
            hyphens += 1
        elif c == 46:
            dots += 1
        elif 97 <= c <= 122:
            letters += 1
            if _is_vowel(c):
                vowels += 1
        kind = 1 if 48 <= c <= 57 else 2 if 97 <= c <= 122 else 3
        if kind + last == 3:
            changes += 1
        last = kind
        if kind == 2 and not _is_vowel(c) and c != 121:
            run += 1
            longest = max(longest, run)
        else:
            run = 0
        if kind != 1 and c != 46:
            address = c == 58 and address
    if address:
        suffix, domain = n, 0
    else:
        suffix, domain = _suffix(host, n, rules)
    name = _BASIS
    for i in range(suffix, n):
        name = _step(name, host[i])
    if address:
        name = np.uint64(1)
    size = max(suffix - 1 - domain, 0)
    below = 0
    for i in range(domain - 1):
        if host[i] == 46:
            below += 1
    below += 1 if domain > 0 else 0
    depth = query = pathdigits = percent = equals = 0
    dot = -1
    hexrun = hexes = 0
    for i in range(m):
        c = path[i]
        if c == 47 and not query:
            depth += 1
            dot = -1
        elif c == 63:
            query = 1
        elif c == 46 and not query:
            dot = i
        elif 48 <= c <= 57:
            pathdigits += 1
        elif c == 37:
            percent += 1
        elif c == 61:
            equals += 1
        if 48 <= c <= 57 or 97 <= c <= 102:
            hexrun += 1
            hexes = max(hexes, hexrun)
        else:
            hexrun = 0
    ending = np.uint64(2)
    if dot >= 0:
        ending = _BASIS
        for i in range(dot + 1, min(m, dot + 7)):
            if path[i] == 63:
                break
            ending = _step(ending, path[i])
    bare = 1 if m == 0 else 0
    out[at] = _fact(1, bare, np.uint64(0))
    out[at + 1] = _fact(2, bare, name)
    out[at + 2] = _fact(3, _bucket(size), name)
    out[at + 3] = _fact(4, _bucket(size) * 16 + _bucket(digits), np.uint64(0))
    out[at + 4] = _fact(5, min(hyphens, 5) * 8 + min(below, 5), np.uint64(0))
    out[at + 5] = _fact(6, min(below, 4), name)
    out[at + 6] = _fact(7, min(longest, 9) * 16 + (10 * vowels) // max(letters, 1), np.uint64(0))
    out[at + 7] = _fact(8, min(changes, 9), np.uint64(0))
    out[at + 8] = _fact(9, _bucket(digits), name)
    out[at + 9] = _fact(10, min(hyphens, 4), name)
    at += 10
    if not bare:
        out[at] = _fact(11, _bucket(m), np.uint64(0))
        out[at + 1] = _fact(12, min(depth, 9) * 2 + query, np.uint64(0))
        out[at + 2] = _fact(13, min(depth, 5), name)
        out[at + 3] = _fact(14, 0, ending)
        out[at + 4] = _fact(15, min(depth, 3), ending)
        out[at + 5] = _fact(16, _bucket(equals) * 16 + _bucket(percent), np.uint64(0))
        out[at + 6] = _fact(17, _bucket(pathdigits), np.uint64(0))
        out[at + 7] = _fact(18, _bucket(hexes), np.uint64(0))
        out[at + 8] = _fact(19, _bucket(m) * 4 + min(depth, 3), np.uint64(0))
        out[at + 9] = _fact(20, _bucket(size), ending)
        at += 10
    return at


@njit(cache=True, nogil=True)
def features(
    data: np.ndarray,
    begin: int,
    end: int,
    more: np.ndarray,
    first: int,
    last: int,
    rules: np.ndarray,
    text: np.ndarray,
    out: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Features of the URL with host ``data[begin:end]`` and path ``more[first:last]``.

    ``text``: room of 512 bytes; ``out`` uint32 (ROOM,); ``ends[g]`` becomes the end of group g in ``out``."""
    while end > begin and data[end - 1] == 46:
        end -= 1
    if end - begin > 4 and data[begin + 3] == 46:
        letters = _lower(data[begin]) ^ 119 | _lower(data[begin + 1]) ^ 119 | _lower(data[begin + 2]) ^ 119
        begin += 4 if letters == 0 else 0
    begin = max(begin, end - LONGEST_HOST)
    n = 1
    text[0] = 94
    for i in range(begin, end):
        text[n] = _lower(data[i])
        n += 1
    text[n] = 36
    host = text[: n + 1]
    m = 0
    path = text[256:]
    for i in range(first, min(last, first + LONGEST)):
        if more[i] == 35:
            break
        path[m] = _lower(more[i])
        m += 1
    while m > 0 and path[m - 1] == 47:
        m -= 1
    at = _grams(host, n + 1, np.uint64(11), out, 0)
    ends[HOST] = at
    at = _grams(path, m, np.uint64(22), out, at)
    ends[PATH] = at
    at = _words(host, n, np.uint64(33), out, at)
    at = _words(path, m, np.uint64(44), out, at)
    ends[WORDS] = at
    ends[SHAPE] = _shape(host[1:], n - 1, path, m, rules, out, at)


def rule_table(rules: np.ndarray) -> np.ndarray:
    """Open-addressing table of the rules of ``rule_hashes``, for ``features``."""
    size = 1 << max(int(len(rules) * 2 - 1).bit_length(), 4)
    table = np.zeros(size, np.uint64)
    for value in rules.tolist():
        slot = (((value & int(_RULE)) * int(_MIX)) & 0xFFFFFFFFFFFFFFFF) >> 40 & (size - 1)
        while table[slot]:
            slot = (slot + 1) & (size - 1)
        table[slot] = value
    return table


def rule_hashes(lines: Iterable[str]) -> np.ndarray:
    """The rules of a public suffix list (its lines) as sorted uint64: the name's hash from its end on, its kind
    (ordinary, wildcard, exception) in the two lowest bits.

    >>> len(rule_hashes(["// comment", "com", "*.ck", "!www.ck"]))
    3
    """
    kinds: dict[str, int] = {}
    for line in lines:
        rule = line.strip()
        if not rule or rule.startswith("//"):
            continue
        kind = int(_WILD if rule.startswith("*.") else _EXCEPT if rule.startswith("!") else _NORMAL)
        name = rule.removeprefix("*.").removeprefix("!")
        name = name if name.isascii() else name.encode("idna").decode()
        # `x` beside `*.x` says nothing more: the wildcard makes x a suffix too.
        kinds[name] = int(_WILD) if int(_WILD) in (kind, kinds.get(name)) else kind
    found = []
    for name, kind in kinds.items():
        hashed = int(_BASIS)
        for byte in reversed(name.encode()):
            hashed = ((hashed ^ byte) * int(_FNV)) & 0xFFFFFFFFFFFFFFFF
        found.append(hashed & int(_RULE) | kind)
    return np.array(sorted(found), np.uint64)


SHAPES: Final = (
    "a path or none", "suffix, with a path or without", "length of the name under this suffix",
    "length and digits of the host", "hyphens and labels before the domain",
    "labels before the domain under this suffix",
    "run of consonants and share of vowels", "turns from letters to digits", "digits under this suffix",
    "hyphens under this suffix", "length of the path", "depth of the path", "depth of the path under this suffix",
    "ending of the file", "ending and depth", "parameters and escapes", "digits in the path",
    "run of hexadecimal digits",
    "length and depth of the path", "ending and length of the name",
)  # fmt: skip


def described(host: str, path: str) -> list[str]:
    """A text for each feature of a URL, in the order in which ``features`` writes them."""
    shown = host.encode().rstrip(b".")
    if len(shown) > 4 and shown[:4].lower() == b"www.":
        shown = shown[4:]
    text = b"^" + shown[-LONGEST_HOST:].lower()
    more = path.encode()[:LONGEST].split(b"#")[0].lower().rstrip(b"/")
    names = []
    for part, whole in (("host", text + b"$"), ("path", more)):
        for i in range(len(whole) - 2):
            names += [f"{part} {_text(whole[i : i + n])}" for n in (3, 4, 5) if i + n <= len(whole)]
    for part, whole in (("host", text), ("path", more)):
        before = b""
        for word in re.findall(rb"[a-z\x80-\xff]+", whole):
            if len(word) < 2:
                continue
            names.append(f"{part} word {_text(word)}")
            if before:
                names.append(f"{part} words {_text(before)} {_text(word)}")
            before = word
    return names + list(SHAPES[: len(SHAPES) if more else 10])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
