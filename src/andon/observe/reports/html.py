"""HTML to text: what a reader sees, tables as rows, the title and the date that the page's head gives.

Python's own parser does it: it never fetches anything and takes whatever it gets. Scripts, styles and navigation
are left out. An address in a link that the text does not show is not part of the report.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any, Final

from andon.observe.reports import dates
from andon.observe.reports.documents import Document

_GONE: Final = frozenset(("script", "style", "noscript", "template", "svg", "nav", "header", "footer", "aside",
"form", "button", "select", "iframe"))  # fmt: skip
_BLOCKS: Final = frozenset(
    [
        "p", "div", "br", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section",
        "article", "pre", "blockquote", "dd", "dt", "dl", "hr", "main", "figure", "figcaption", "td", "th",
    ]
)  # fmt: skip
_VOID: Final = frozenset(
    [
        "br", "hr", "img", "input", "meta", "link", "area", "base", "col", "embed", "source", "track", "wbr",
    ]
)  # fmt: skip
_DATES: Final = (
    "article:published_time", "datepublished", "og:published_time", "date", "dc.date", "dc.date.issued",
    "dcterms.created",
    "publish-date", "publication_date", "pubdate", "citation_publication_date", "last-modified",
    "article:modified_time",
    "datemodified",
)  # fmt: skip
_MOST_PIECES: Final = 400_000
_COMMENT, _SECTION, _TAG = re.compile("<!--"), re.compile(r"<!\["), re.compile("<[A-Za-z/!?]")
_DEEPEST: Final = 200  # parts left out, one in another


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.titles: list[str] = []
        self.said: dict[str, str] = {}
        self._gone: list[str] = []
        self._title = False
        self._json = False
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta":
            name = (given.get("property") or given.get("name") or given.get("itemprop") or "").lower()
            if name:
                self.said.setdefault(name, given.get("content", "")[:500])
        elif tag == "time" and given.get("datetime"):
            self.said.setdefault("time", given["datetime"][:100])
        elif tag == "title":
            self._title = True
        if tag == "script" and given.get("type", "").lower() == "application/ld+json":
            self._json = True
        if tag in _GONE and tag not in _VOID:
            # An open tag that is never closed must not swallow the page: a header in an article ends with it.
            if len(self._gone) < _DEEPEST:
                self._gone.append(tag)
        elif tag in _BLOCKS and not self._gone:
            self.pieces.append(" | " if tag in ("td", "th") else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._title = False
        if tag in _GONE:
            if tag in self._gone:
                while self._gone and self._gone.pop() != tag:
                    pass
            self._json = False
        elif tag in ("article", "main", "body"):
            self._gone.clear()
        elif tag in _BLOCKS and not self._gone and tag not in ("td", "th"):
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._json and len(self.linked) < 20:
            self.linked.append(data[:100_000])
        elif self._title and len(self.titles) < 100:
            self.titles.append(data[:1000])
        elif not self._gone and len(self.pieces) < _MOST_PIECES:
            self.pieces.append(data)


def _closed(text: str) -> str:
    """The page up to the first comment, declaration or tag that nothing closes any more: the parser would look for
    their ends from each of them anew, through the rest of the page."""
    for opening, closing in ((_COMMENT, "-->"), (_SECTION, "]>"), (_TAG, ">")):
        found = opening.search(text, text.rfind(closing) + 1)
        if found:
            text = text[: found.start()]
    return text


def read_html(text: str) -> Document:
    """The document of a page. Never raises: what is no HTML is text."""
    reader = _Reader()
    try:
        reader.feed(_closed(text))
        reader.close()
    except (AssertionError, ValueError):  # the parser of the standard library on broken declarations
        pass
    body = re.sub(r"[ \t\xa0]+", " ", "".join(reader.pieces))
    body = re.sub(r" ?\n[ \n]*", "\n", body).strip()
    published = next(
        (at for name in _DATES if (at := dates.of_field(reader.said.get(name))) is not None), None
    )
    published = published or _linked(reader.linked) or dates.of_field(reader.said.get("time"))
    title = " ".join("".join(reader.titles).split()) or reader.said.get("og:title", "")
    return Document(body, title, "", published or dates.of_head(body))


def _linked(scripts: list[str]) -> int | None:
    """``datePublished`` of JSON-LD."""
    for script in scripts:
        try:
            value: Any = json.loads(script)
        except (ValueError, RecursionError):
            continue
        items = (
            value
            if isinstance(value, list)
            else value.get("@graph", [value])
            if isinstance(value, dict)
            else []
        )
        for item in items[:50] if isinstance(items, list) else ():
            if isinstance(item, dict) and (at := dates.of_field(item.get("datePublished"))) is not None:
                return at
    return None
