"""URLs, domains, IPv4 addresses, hashes and CVE numbers in plain text (see ``plain``).

Syntax first, then what speaks against: an address of four numbers may be a version, ``bins.sh`` is a file and no
domain of Saint Helena unless its author defanged it. Every pattern is a walk in one direction with bounded
repetition, so that time is linear in the text whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from andon.observe.reports.found import Found
from andon.observe.reports.plain import Plain
from andon.records import report as R

_DASH: Final = "-\u2010-\u2015\u2212\u30fc\u02d7\ufe58_~"
_CVE = re.compile(
    rf"(?<![A-Za-z0-9])CVE[{_DASH}\s:]{{1,3}}((?:19|20)\d\d)\s?[{_DASH}]\s?(\d{{4,7}})(?!\d)"
    rf"(?:/(?:CVE[{_DASH}](?:19|20)\d\d[{_DASH}])?(\d{{4,7}})(?!\d))?",
    re.ASCII | re.IGNORECASE,
)
_URL = re.compile(
    r"(?<![A-Za-z0-9])(https?|s?ftp|tftp|wss?|tcp)://"
    r"((?:[A-Za-z0-9._~%!$&'()*+,;=-]{1,128}@)?)([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)(:\d{1,5})?"
    r"((?:[/?#][A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%|{}\\^]{0,2000})?)",
    re.ASCII | re.IGNORECASE,
)
_HASH = re.compile(r"(?<![A-Za-z0-9/_.=%-])[0-9A-Fa-f]{32,64}(?![A-Za-z0-9_-]|\.[A-Za-z0-9])", re.ASCII)
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9.@-])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\d-]|\.\d)", re.ASCII
)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(
    rf"(?<![A-Za-z0-9._@/\\=-])((?:{_LABEL}\.){{1,8}})([a-z]{{2,18}})(?![A-Za-z0-9_(=-]|\.[A-Za-z0-9])",
    re.ASCII | re.IGNORECASE,
)
_VERSION_BEFORE = re.compile(
    r"(?:\bv|\bversions?|\bver\.?|\bfirmware|\bbuild|\brelease|\bthrough|\bbefore|\bprior to|\bfw"
    r"|バージョン|ファームウェア|版)\s{0,2}$",
    re.IGNORECASE,
)
_VERSION_AFTER = re.compile(r"\s{0,2}(?:以前|以降|より前|and earlier|or later|and below|or earlier|未満)")
# Endings that are domains; two letters stand for a country. Those that are endings of files too count only if defanged.
_GENERIC: Final = frozenset(
    [
        "com", "net", "org", "info", "biz", "edu", "gov", "mil", "int", "name", "pro", "mobi", "asia", "tel",
        "xyz", "top", "site", "online", "club", "shop", "store", "live", "icu", "cc", "io", "me", "tv", "ws",
        "app", "dev", "cloud", "tech", "space", "website", "host", "fun", "vip", "work", "life", "world", "today",
        "link", "click", "download", "stream", "win", "bid", "loan", "men", "date", "review", "trade", "party",
        "racing", "science", "cricket", "faith", "accountant", "onion", "pw", "su", "eu", "arpa", "ddns", "libre",
        "geek", "oss", "parody", "dyn", "cyou", "buzz", "rest", "monster", "lol", "wtf", "network", "systems",
        "solutions", "agency", "email", "services", "digital", "group", "ltd", "gmbh", "tokyo", "nagoya", "osaka",
        "kyoto", "zone", "press",
    ]
)  # fmt: skip
_FILES: Final = frozenset(
    [
        "sh", "py", "pl", "md", "rs", "so", "ps", "cc", "me", "ai", "mo", "ml", "zip", "mov", "cab", "bat", "app",
        "id", "is", "in", "no", "to", "do", "it", "so", "cs", "hs", "js", "kt", "vb", "lua", "pm", "st", "ls",
        "rb", "ko", "mk", "ac", "mp", "am", "au", "ra", "ms", "as", "sc", "ph", "tf",
    ]
)  # fmt: skip
_FIELDS: Final = frozenset(("ip", "tcp", "udp", "icmp", "http", "arm", "mips", "self", "this", "os"))


def indicators(plain: Plain) -> Iterator[Found]:
    """All of them, in order of type."""
    text = plain.text
    taken: list[tuple[int, int]] = []
    for match in _CVE.finditer(text):
        year, number, second = match.groups()
        yield Found(
            R.CVE, f"CVE-{year}-{number}", match.start(), match.start(3) - 1 if second else match.end()
        )
        if second and len(second) == len(number):
            yield Found(R.CVE, f"CVE-{year}-{second}", match.start(3), match.end(3))
        taken.append(match.span())
    for match in _URL.finditer(text):
        url = _url(match)
        if url is None:
            continue
        value, end = url
        yield Found(R.URL, value, match.start(), end)
        taken.append((match.start(), end))
        host = match.group(3).lower()
        octets = _octets(host)
        if octets:
            yield Found(R.ADDRESS, octets, match.start(3), match.end(3))
        elif _is_domain(host, True):
            yield Found(R.DOMAIN, host, match.start(3), match.end(3))
    for match in _HASH.finditer(text):
        value = match.group().lower()
        if len(value) in (32, 40, 64) and len(set(value)) > 4:
            yield Found(R.HASH, value, *match.span())
    for match in _ADDRESS.finditer(text):
        octets = _octets(match.group())
        if octets and not _version(text, match) and not re.match(r"/\d", text[match.end() : match.end() + 2]):
            yield Found(R.ADDRESS, octets, *match.span())
    for match in _DOMAIN.finditer(text):
        value = match.group().lower()
        if _is_domain(value, plain.defanged(*match.span())):
            yield Found(R.DOMAIN, value, *match.span())


def _url(match: re.Match[str]) -> tuple[str, int] | None:
    """(normalised, end in the text); None for a host that cannot be."""
    scheme, user, host, port, rest = match.groups()
    if ".." in host or (re.fullmatch(r"[\d.]+", host) and not _octets(host)):
        return None
    if "." not in host and not rest:
        return None
    rest = _trimmed(rest)
    tail = port or ""
    if tail and not 0 < int(tail[1:]) < 65536:
        return None
    end = match.start(5) + len(rest)
    return f"{scheme.lower()}://{user}{host.lower()}{tail}{rest}", end


def _trimmed(rest: str) -> str:
    """A path without the punctuation of the sentence around it."""
    while rest:
        last = rest[-1]
        if (
            last in ".,;:!?'*|\\"
            or (last == ")" and rest.count("(") < rest.count(")"))
            or (last == "]" and rest.count("[") < rest.count("]"))
            or last in "}{^(["
        ):
            rest = rest[:-1]
        else:
            break
    return rest


def _octets(text: str) -> str:
    """The address in its usual form, "" for what is none or concerns nobody outside (private, loopback, any)."""
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdigit() and len(part) <= 3 for part in parts):
        return ""
    if any(len(part) > 1 and part[0] == "0" for part in parts):
        return ""
    a, b, c, d = (int(part) for part in parts)
    if max(a, b, c, d) > 255 or a in (0, 10, 127, 255) or (a == 172 and 16 <= b < 32):
        return ""
    if (a == 192 and b == 168) or (a == 169 and b == 254) or a >= 224:
        return ""
    return f"{a}.{b}.{c}.{d}"


def _version(text: str, match: re.Match[str]) -> bool:
    before = text[max(match.start() - 24, 0) : match.start()]
    return bool(_VERSION_BEFORE.search(before) or _VERSION_AFTER.match(text, match.end()))


def _is_domain(name: str, defanged: bool) -> bool:
    first, _, _ = name.partition(".")
    *_, last = name.split(".")
    if len(name) > 253 or name.replace(".", "").isdigit():
        return False
    known = last in _GENERIC or (len(last) == 2 and last.isalpha())
    if not known:
        return defanged and last.isalpha() and len(last) <= 12
    return defanged or (last not in _FILES and first not in _FIELDS and len(name) - len(last) > 3)
