"""All mentions of a text, normalised, each with how and where the text says it.

>>> [(m["type"], m["value"]) for m in mentions("Kasate botnet: ports 23 and 2323, CVE－2020－8515")[0]]
[('malware', 'Kasate'), ('port-set', '23,2323'), ('port', '23'), ('port', '2323'), ('cve', 'CVE-2020-8515')]
"""

from __future__ import annotations

import re
from typing import Any, Final

from andon.observe.reports.found import Found
from andon.observe.reports.indicators import indicators
from andon.observe.reports.names import malware
from andon.observe.reports.plain import Plain
from andon.observe.reports.ports import ports
from andon.observe.reports.vendors import devices
from andon.observe.reports.words import credentials, relations, requests, tokens
from andon.records import report as R

MOST_MENTIONS: Final = 4_000  # of one report
_MOST_SHOWN: Final = 300  # characters of a mention as it stands
_MOST_VALUE: Final = 2_048
_ORDER: Final = {name: number for number, name in enumerate(R.MENTION_TYPES)}
_VERSION = re.compile(r"(?<![A-Za-z0-9])v?\d{1,5}(?:\.\d{1,5}){1,4}(?![0-9])", re.ASCII)
_JAPANESE = re.compile("[\u3041-\u30fa\u4e00-\u9fff]")
_KANA = re.compile("[\u3041-\u30fa]")


def mentions(text: str) -> tuple[list[dict[str, Any]], int]:
    """(rows of ``records.report.MENTION`` in order of place, how many were left out above ``MOST_MENTIONS``)."""
    plain = Plain(text)
    found = list(indicators(plain))
    closed = [(item.start, item.end) for item in found if item.type != R.DOMAIN]
    inside = _Spans(closed)
    relation = list(relations(plain.text))
    numbers = [match.span() for match in _VERSION.finditer(plain.text)]
    walls = _Spans([*closed, *numbers, *((item.start, item.end) for item in relation)])
    fields = _Spans([(item.start, item.end) for item in relation])
    found = [item for item in found if item.type != R.DOMAIN or not fields.cover(item.start)]
    found += relation
    found += ports(plain.text, walls.spans)
    for make in (malware, devices, tokens, credentials, requests):
        found += (item for item in make(plain.text) if not inside.cover(item.start))
    rows = sorted(set(found), key=lambda item: (item.start, _ORDER[item.type], item.end, item.value))
    return [_row(plain, item) for item in rows[:MOST_MENTIONS]], max(0, len(rows) - MOST_MENTIONS)


def _row(plain: Plain, item: Found) -> dict[str, Any]:
    at, shown = plain.shown(item.start, item.end)
    return {"type": item.type, "value": item.value[:_MOST_VALUE], "text": shown[:_MOST_SHOWN], "at": at}


class _Spans:
    """Pieces of a text, merged and ascending."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self.spans: list[tuple[int, int]] = []
        for start, end in sorted(spans):
            if self.spans and start <= self.spans[-1][1]:
                self.spans[-1] = (self.spans[-1][0], max(end, self.spans[-1][1]))
            else:
                self.spans.append((start, end))
        self._starts = [start for start, _ in self.spans]

    def cover(self, position: int) -> bool:
        from bisect import bisect_right

        at = bisect_right(self._starts, position) - 1
        return at >= 0 and position < self.spans[at][1]


def language(text: str) -> str:
    """
    "ja" if the text has kana or a good share of kanji, "en" if it is mostly ASCII letters, else "".

     >>> language("23番ポートへのスキャンが増加"), language("Scans of port 23 increase"), language("Порт 23")
     ('ja', 'en', '')
    """
    sample = text[:20_000]
    japanese = len(_JAPANESE.findall(sample))
    letters = sum(c.isalpha() for c in sample)
    if japanese * 20 > letters and _KANA.search(sample):
        return "ja"
    ascii_letters = sum(c.isascii() and c.isalpha() for c in sample)
    return "en" if letters and ascii_letters * 10 >= letters * 8 else ""
