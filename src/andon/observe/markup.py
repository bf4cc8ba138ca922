"""XML from strangers, as events, in bounded memory.

A document may name its type (nmap does) but may bring no declarations of its own: with them go entities, and with
entities go the "billion laughs" and the reading of local files (CWE-776, CWE-611). Nothing outside is ever fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple
from xml.parsers import expat

DEEPEST: Final = 64  # elements in one another
LONGEST: Final = 4 << 20  # bytes of one tag or one run of text
START, END, TEXT = "start", "end", "text"


class Event(NamedTuple):
    """``START`` (name, attributes), ``TEXT`` (text) or ``END`` (name), and the line it stands in."""

    kind: str
    name: str
    attributes: dict[str, str]
    line: int


class BadMarkup(ValueError):
    """What was read is refused, or is no XML from some place on. ``cut`` says that it merely ends too early."""

    def __init__(self, text: str, cut: bool = False) -> None:
        super().__init__(text)
        self.cut = cut


def events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Events as the document goes by. Raises BadMarkup behind the last good one.

    >>> [(event.kind, event.name) for event in events([b"<a><b>x</b>", b"</a>"])]
    [('start', 'a'), ('start', 'b'), ('text', 'x'), ('end', 'b'), ('end', 'a')]
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    made: list[Event] = []
    depth = [0]

    def start(name: str, attributes: dict[str, str]) -> None:
        depth[0] += 1
        if depth[0] > DEEPEST:
            raise BadMarkup(f"line {parser.CurrentLineNumber}: elements nested more than {DEEPEST} deep")
        made.append(Event(START, name, attributes, parser.CurrentLineNumber))

    def end(name: str) -> None:
        depth[0] -= 1
        made.append(Event(END, name, {}, parser.CurrentLineNumber))

    def text(data: str) -> None:
        made.append(Event(TEXT, data, {}, parser.CurrentLineNumber))

    def doctype(name: str, system: Any, public: Any, internal: int) -> None:
        if internal:
            raise BadMarkup("declarations inside the document (DTD, entities) are refused")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    fed = 0
    problem: BadMarkup | None = None
    for chunk in chunks:
        problem = _parsed(parser, chunk, False)
        yield from made
        made.clear()
        fed += len(chunk)
        if problem is None and fed - max(parser.CurrentByteIndex, 0) > LONGEST:
            problem = BadMarkup(
                f"line {parser.CurrentLineNumber}: a tag or text of more than {LONGEST >> 20} MiB"
            )
        if problem is not None:
            raise problem
    problem = _parsed(parser, b"", True)
    yield from made
    if problem is not None:
        raise BadMarkup(f"the document ends too early ({problem})", cut=True)


def _parsed(parser: Any, chunk: bytes, last: bool) -> BadMarkup | None:
    try:
        parser.Parse(chunk, last)
    except BadMarkup as error:
        return error
    except expat.ExpatError as error:
        return BadMarkup(f"line {error.lineno}: {expat.ErrorString(error.code)}")
    return None
