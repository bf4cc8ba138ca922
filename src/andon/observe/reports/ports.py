"""Ports and sets of ports in a text, in English and Japanese.

Read are ``port 60001``, ``ports 80, 81 and 8080``, ``TCP/23, 2323``, ``37215/tcp``, ``Telnet (23)``, ``23番ポート``,
``ポート23、2323``, ``23/tcp、2323/tcp``. A list is read from left to right and ends where a number is no port: counts
("2,000 devices"), years, versions, ranges of addresses. Ports given in one list are a set as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from andon.observe.reports.found import Found
from andon.records import report as R

_MOST: Final = 64  # ports of one list
_WIDEST: Final = 16  # ports of a range that is written out
_PROTOCOL = r"(?:tcp|udp|sctp)"
_SERVICE = (
    r"(?:telnet|ssh|https?|ftp|adb|smb|rdp|vnc|winbox|upnp|tr-?0?6[49]|snmp|redis|mqtt|rtsp|sip|mysql|mssql|dns|"
    r"ntp|ssdp|memcached|docker|netbios|api)"
)
# What opens a list. The number behind it is looked for by ``_ITEM``.
_OPENS = re.compile(
    rf"(?<![A-Za-z0-9])(?:(?P<tu>{_PROTOCOL})(?:\s?(?:and|or|&|/|および|及び)\s?(?P<other>{_PROTOCOL}))?[\s-]{{0,2}})?"
    r"(?:(?:destination|dest|dst|source|src|default|standard|listening|the)\s)?(?:dst|src)?ports?"
    r"(?:\s(?:numbers?|nos?\.?))?"
    r"(?:\s(?:like|such as|including|include|includes|are|is|was|were|namely|to|of|on|e\.g\.,?|i\.e\.,?))?"
    rf"\s?(?:[:=#(\[]|\s)?\s?(?P<tu2>{_PROTOCOL}[\s/:-]{{1,2}})?(?=\d)"
    rf"|(?<![A-Za-z0-9])(?P<tu3>{_PROTOCOL})\s?(?:[/:(-]\s?|\s)(?=\d)"
    rf"|(?<![A-Za-z0-9]){_SERVICE}\s?\((?:port\s)?(?P<tu4>{_PROTOCOL}[\s/:-])?(?=\d{{2,5}}\s?[)/,、])"
    rf"|(?:宛先|送信元|待受|待ち受け)?(?P<ja>ポート)(?:番号)?(?:は|が|として|:|\s|\()?\s?(?:{_PROTOCOL}[\s/:-]{{1,2}})?(?=\d)",
    re.ASCII | re.IGNORECASE,
)
# A number with its protocol behind it, or with 番ポート: opens a list as well.
_SUFFIXED = re.compile(
    rf"(?<![A-Za-z0-9./:,-])(\d{{1,5}})\s?(?:/\s?(?P<tu>{_PROTOCOL})(?![A-Za-z0-9])"
    rf"|(?P<ban>番)?(?:の)?(?:(?P<tu2>{_PROTOCOL})の?)?(?P<port>ポート)|番(?:/\s?(?P<tu3>{_PROTOCOL}))?"
    r"(?=[\s、,・とや及お/)]{0,3}(?:(?:および|及び)\s?)?\d{1,5}\s?番))",
    re.ASCII | re.IGNORECASE,
)
_ITEM = re.compile(
    rf"(?P<number>\d{{1,5}})(?![\d%])(?:(?:-|–|~|〜|から)(?P<last>\d{{1,5}})(?![\d.-]))?"
    rf"(?:\s?/\s?(?P<tu>{_PROTOCOL})(?![A-Za-z0-9]))?(?P<ban>\s?番)?(?:(?:の)?(?:{_PROTOCOL})?ポート)?"
    r"(?:\s?\([^()\n]{1,40}\))?",
    re.ASCII | re.IGNORECASE,
)
_NEXT = re.compile(
    r"\s{0,2}(?:(?:,|、|,|;|/|・|&|\+|\|)\s{0,2}(?:and|or|then|および|及び|または)?|(?:and|or|as well as|plus)(?=\s)"
    r"|および|及び|または|又は|ならびに|並びに|と|や)\s{0,2}"
    rf"(?:the\s)?(?P<tu>{_PROTOCOL}[\s/:-]{{1,2}})?(?:(?:ports?|ポート)\s?)?(?=\d)",
    re.ASCII | re.IGNORECASE,
)
# A thing that is counted, right behind a number: then it is no port.
_COUNTED = re.compile(
    r"\s?(?:件|台|回|個|か国|カ国|ヶ国|社|年|月|日|時|分|秒|人|種|倍|割|万|億|パーセント|アドレス|ホスト|以上の)"
    r"|[\s-](?:(?:unique|distinct|different|new|more|infected|compromised|vulnerable|other|of|million|thousand|source|"
    r"destination|ip|exposed|malicious|known)\s){0,3}(?:devices?|hosts?|bots?|ips?|addresses|sources?|times|packets?|"
    r"sessions?|attacks?|attempts?|scans?|countries|ports?|days?|hours?|minutes|seconds|weeks?|months?|years?|"
    r"routers?|cameras?|samples?|requests?|connections?|flows?|bytes?|systems?|victims?|honeypots?|sensors?|probes|"
    r"percent|infections?|servers?|nodes?|machines?|vulnerabilit(?:y|ies)|credentials|passwords|pairs|variants|scanners|"
    r"networks?|customers|targets|events|hits|payloads|files|families|reports|users)\b|\s?%",
    re.IGNORECASE,
)
# What may follow a later number of a list: the end of something, or a word that goes on with the sentence.
_GOES_ON = re.compile(
    r"\s*$|\s{0,3}[.,;:)\]}」』）、。\"'”’`(/|\n!?|&＋+〉》-]|\s*[^\x00-\x7f]"
    r"|\s+(?:and|or|are|is|was|were|be|been|as|on|in|to|for|with|from|by|at|of|which|that|via|over|using|but|while|"
    r"when|where|since|during|between|than|until|before|after|through|because|if|had|has|have|also|can|could|will|may|"
    r"might|tcp|udp|respectively|only|open|remain\w*|show\w*|saw|see\w*|rose|increas\w*|grew|fell|among|against|across|"
    r"within|every|simultaneously|together|both|appear\w*|attract\w*|belong\w*|expos\w*|reachable|accessible|closed|"
    r"listen\w*|drop\w*|[a-z]+ed|[a-z]+ing|probes?\w*|scan\w+ing|target\w*|plus|then|too|not|looking|trying)\b",
    re.IGNORECASE,
)
# The end of a sentence or of a list: a number that could be a year has to have one behind it.
_ENDS = re.compile(
    r"\s*$|\s{0,2}[.,;:)\]}」』）、。\"'”’`(/!?&]|\n|\s+(?:and|or|tcp|udp)\b|\s*[^\x00-\x7f]", re.IGNORECASE
)
_THOUSANDS = re.compile(r"(?:,\d{3})+(?!\d)", re.ASCII)
_NOT_FIRST = re.compile(
    r"\.\d|[A-Za-z_]|,\d{3}(?!\d)\s(?:devices|hosts|times|ips|sources|addresses|packets)", re.ASCII
)


def ports(text: str, closed: list[tuple[int, int]]) -> Iterator[Found]:
    """Ports and port sets. ``closed``: pieces of the text in which a number is no port (URLs, CVE, versions),
    ascending."""
    walls = iter([*closed, (len(text) + 1, len(text) + 1)])
    wall = next(walls)
    done = 0
    for start, begin, protocol in _openings(text):
        while wall[1] <= begin:
            wall = next(walls)
        if begin < done or wall[0] <= begin:
            continue
        found, end = _list(text, begin, protocol, wall[0])
        if not found:
            continue
        done = end
        seen: dict[str, Found] = {}
        for item in found:
            seen.setdefault(item.value, item)
        yield from found
        if len(seen) > 1:
            value = ",".join(sorted(seen, key=_order))
            yield Found(R.PORT_SET, value, min(start, found[0].start), found[-1].end)


def _openings(text: str) -> Iterator[tuple[int, int, str]]:
    """(where it begins, where its first number begins, protocol said before), ascending."""
    found = []
    for match in _OPENS.finditer(text):
        said = next((match.group(name) for name in ("tu", "tu2", "tu3", "tu4") if match.group(name)), "")
        both = match.group("other")
        protocol = "" if both else said.lower().rstrip(" /:-")
        if match.group("tu3") and _COUNTED.match(text, _number_end(text, match.end())):
            continue
        found.append((match.start(), match.end(), protocol))
    found += [(match.start(1), match.start(1), "") for match in _SUFFIXED.finditer(text)]
    return iter(sorted(set(found)))


def _number_end(text: str, at: int) -> int:
    while at < len(text) and text[at] in "0123456789":
        at += 1
    return at


def _list(text: str, begin: int, protocol: str, wall: int) -> tuple[list[Found], int]:
    """The ports of the list that begins here, and where it ends."""
    made: list[Found] = []
    at = begin
    end = begin
    limit = min(len(text), wall)
    while len(made) < _MOST:
        item = _ITEM.match(text, at)
        if item is None or item.end("number") > limit:
            break
        number_end = item.end("number")
        # The number is judged by what follows it, not by what follows its bracket.
        if _COUNTED.match(text, number_end) and not item.group("ban"):
            break
        if not made and _NOT_FIRST.match(text, number_end) and not item.group("tu"):
            break
        if made and not item.group("tu") and not item.group("ban") and not item.group("last"):
            if text[number_end : number_end + 1] == "." and text[number_end + 1 : number_end + 2].isdigit():
                break
            ends = _ENDS if 1990 <= int(item.group("number")) < 2040 else _GOES_ON
            if not ends.match(text, number_end):
                break
            thousands = _THOUSANDS.match(text, number_end)
            if thousands and _COUNTED.match(text, thousands.end()):
                break
        if item.group("last") and item.end("last") > limit:
            break
        mine = (item.group("tu") or protocol).lower()
        numbers = _numbers(item)
        if not numbers:
            break
        end = item.end()
        if end > limit:
            end = number_end
        shown = item.end("ban") if item.group("ban") else item.end("tu") if item.group("tu") else number_end
        if item.group("last") and len(numbers) > 1:
            shown = max(shown, item.end("last"))
        made += [
            Found(
                R.PORT, f"udp/{n}" if mine == "udp" else f"sctp/{n}" if mine == "sctp" else str(n), at, shown
            )
            for n in numbers
        ]
        following = _NEXT.match(text, end)
        if following is None:
            break
        if following.group("tu"):
            protocol = following.group("tu").lower().rstrip(" /:-")
        at = following.end()
    return made, end


def _numbers(item: re.Match[str]) -> list[int]:
    text = item.group("number")
    first = int(text)
    if not 0 < first < 65536 or (text[0] == "0"):
        return []
    if not item.group("last"):
        return [first]
    last = int(item.group("last"))
    if first < last < 65536 and last - first < _WIDEST:
        return list(range(first, last + 1))
    return [first, last] if first < last < 65536 else []


def _order(value: str) -> tuple[str, int]:
    protocol, _, number = value.rpartition("/")
    return protocol, int(number)
