"""Squid's ``logformat`` directives, compiled: a format is text and codes in turn; the text between them is what cuts
a line into fields.

The language is that of squid.conf (``logformat``): ``%``, how the value is quoted (``"``, ``[``, ``#``, ``/``, ``'``),
``-`` for left-aligned, width and precision, an argument in braces (before or behind the code), and the code. Where a
code has no quoting of its own, the quotes or brackets around it give it. Codes that mean nothing to a contact are read
over, also unknown ones of newer Squids.

A field ends where the text behind it begins for the first time, outside of escapes; headers and URLs, which may hold
anything, end later if the rest of the line does not fit otherwise. A format in which that does not tell (two headers
with blanks in them side by side, and no quotes) is a format that cannot be read for certain by anybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.observe.logs.clock import blanks, plan
from andon.observe.logs.contacts import SLOTS, Contacts
from andon.observe.logs.scan import BACKSLASH, PERCENT, PLAIN, SHELL

BUILT_IN: Final = {
    "squid": "%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt",
    "common": '%>a %[ui %[un [%tl] "%rm %ru %rv" %>Hs %<st %Ss:%Sh',
    # Squid 5 writes headers of its own combined format as they came, with the quotes in them.
    "combined": '%>a %[ui %[un [%tl] "%rm %ru %rv" %>Hs %<st "%\'{Referer}>h" "%\'{User-Agent}>h" %Ss:%Sh',
    "apache-common": '%>a %[ui %[un [%tl] "%rm %ru %rv" %>Hs %<st',
    "apache": '%>a %[ui %[un [%tl] "%rm %ru %rv" %>Hs %<st "%{Referer}>h" "%{User-Agent}>h"',
    "referrer": "%ts.%03tu %>a %{Referer}>h %ru",
    "useragent": '%>a [%tl] "%{User-Agent}>h"',
}
_CODE: Final = re.compile(
    r"""%(?P<quote>["\[\]'#/]?)(?P<left>-?)(?P<width>\d*)(?:\.(?P<most>\d+))?(?:\{(?P<before>[^}]*)\})?
    (?P<code>%|(?:[a-z_]+::)?(?:[<>]?(?:err_code|err_detail|note|credentials|busy_time|bump_mode|sni|eui|ext_tag|byte
    |cert_\w+|negotiated_\w+|received_\w+|supported_\w+|cluster_\w+|[a-zA-Z][A-Za-z]?)))(?:\{(?P<after>[^}]*)\})?""",
    re.VERBOSE,
)
# What a code gives to a contact, the better the lower its number; one slot has one code.
_MEANS: Final[dict[str, tuple[str, int]]] = {
    "ts": ("time", 1), "tl": ("time", 2), "tg": ("time", 2), "tS": ("time", 0), "tu": ("fraction", 0),
    "tr": ("elapsed", 0), ">a": ("address", 0), ">A": ("address", 1), "un": ("user", 0), "ul": ("user", 1),
    "ue": ("user", 2), "us": ("user", 3), "ui": ("user", 4), "ru": ("url", 1), ">ru": ("url", 0), "<ru": ("url", 2),
    "rm": ("method", 1), ">rm": ("method", 0), "<rm": ("method", 2), "rd": ("host", 1), ">rd": ("host", 0),
    "<rd": ("host", 2), "rP": ("port", 1), ">rP": ("port", 0), "<rP": ("port", 2), "rs": ("scheme", 1),
    ">rs": ("scheme", 0), "<rs": ("scheme", 2), "rp": ("path", 1), ">rp": ("path", 0), "<rp": ("path", 2),
    ">Hs": ("status", 0), "Hs": ("status", 1), "<Hs": ("status", 2), "Ss": ("action", 0), "Sh": ("hierarchy", 0),
    "<a": ("server", 0), "<st": ("bytes_in", 0), ">st": ("bytes_out", 0), "mt": ("mime", 0), "sni": ("sni", 0),
    ">sni": ("sni", 0), "err_code": ("verdict", 0),
}  # fmt: skip
_HEADERS: Final[dict[tuple[str, str], tuple[str, int]]] = {
    (">", "referer"): ("referer", 0), (">", "user-agent"): ("agent", 0), (">", "host"): ("host", 3),
    ("<", "location"): ("location", 0), ("<", "content-type"): ("mime", 1), (">", "x-forwarded-for"): ("address", 3),
}  # fmt: skip
_NUMBERS: Final = frozenset({"time", "fraction", "elapsed", "status", "bytes_in", "bytes_out", "port"})
_CLOCK: Final = "%d/%b/%Y:%H:%M:%S %z"


@dataclass(frozen=True)
class Plan:
    """A compiled format, as ``scan.tokens`` wants it, and what its fields mean. ``logformat``: its text."""

    name: str
    logformat: str
    text: np.ndarray
    offsets: np.ndarray
    steps: np.ndarray
    tail: bool
    contacts: Contacts


@dataclass
class _Field:
    code: str
    slot: str = ""
    rank: int = 9
    width: int = 0
    written: int = PLAIN
    quoted: bool = False
    loose: bool = False  # may hold anything
    address: bool = False  # and its port follows
    clock: str = ""


def compiled(logformat: str, zone: str = "+00:00") -> Plan:
    """The plan of the name of a built-in format, or of the text of a ``logformat`` (with ``logformat NAME`` before it
    or without). ``zone``: of local times that do not say theirs. Raises ValueError that says what is wrong.

    >>> sorted(compiled("%ts.%03tu %>a %ru").contacts.has)
    ['address', 'time', 'url']
    """
    text = logformat.strip()
    parts = text.split(None, 2)
    if len(parts) == 3 and parts[0] == "logformat":
        name, text = parts[1], parts[2]
    else:
        name = text if text in BUILT_IN else ""
        text = BUILT_IN.get(text, text)
    if "%" not in text:
        raise ValueError(f"logformat {logformat!r}: no such format; known are {', '.join(BUILT_IN)}")
    literals, fields = _taken_apart(text)
    _choose(fields)
    has = frozenset(field.slot for field in fields if field.slot)
    if not has & {"url", "host", "sni"}:
        raise ValueError(f"logformat {logformat!r} has no destination (%ru, %>rd): its lines are no contacts")
    if "time" not in has or not has & {"address", "user"}:
        raise ValueError(f"logformat {logformat!r} needs a time (%ts, %tl) and a client (%>a, %un)")
    for at, field in enumerate(fields[:-1]):
        if not literals[at + 1] and not field.width:
            raise ValueError(
                f"logformat {logformat!r}: nothing stands between %{field.code} and %{fields[at + 1].code}"
            )
    for at, field in enumerate(fields):
        field.address = field.code in (">a", "<a") and literals[at + 1] == ":" and at + 1 < len(fields)
    written = np.zeros(len(SLOTS), np.uint8)
    steps = np.zeros((len(fields), 6), np.int32)
    time = next(field for field in fields if field.slot == "time")
    for at, field in enumerate(fields):
        slot = SLOTS.index(field.slot) if field.slot else -1
        inner = blanks(field.clock) if field.clock else 0
        loose = 2 if field.address else int(field.loose)
        steps[at] = slot, inner, field.width, field.quoted, field.written, loose
        if field.slot:
            written[slot] = BACKSLASH if field.quoted and field.written == PLAIN else field.written
    coded = [literal.encode() for literal in literals]
    contacts = Contacts(
        source="squid",
        has=has,
        clocks=(plan(time.clock, zone), plan("epoch")),
        written=written,
        at_end=time.code != "tS",
    )
    return Plan(
        name or "logformat",
        text,
        np.frombuffer(b"".join(coded) + b"\0", np.uint8).copy(),
        np.cumsum([0, *map(len, coded)]).astype(np.int32),
        steps,
        name == "squid",
        contacts,
    )


def _taken_apart(text: str) -> tuple[list[str], list[_Field]]:
    """Literals (one more than fields: before the first, between, behind the last) and fields."""
    literals: list[str] = []
    fields: list[_Field] = []
    literal, around, at = "", "", 0
    while at < len(text):
        if text[at] != "%":
            # Quotes and brackets in the text say how what is between them is written.
            if text[at] == '"':
                around = "" if around == '"' else '"'
            elif text[at] in "[]" and around != '"':
                around = "[" if text[at] == "[" else ""
            literal += text[at]
            at += 1
            continue
        match = _CODE.match(text, at)
        if match is None:
            raise ValueError(f"logformat: {text[at : at + 12]!r} is no directive")
        at = match.end()
        if match["code"] == "%":
            literal += "%"
            continue
        field = _field(match, around)
        if field.code == "tu" and literal == "." and fields and fields[-1].code == "ts":
            fields[-1].clock, literal = "epoch", ""  # seconds and milliseconds are one number
            continue
        literals.append(re.sub(r"[ \t]+", " ", literal))
        fields.append(field)
        literal = ""
    literals.append(re.sub(r"[ \t]+", " ", literal).rstrip(" "))
    if not fields:
        raise ValueError(f"logformat {text!r} has no directive")
    return literals, fields


def _field(match: re.Match[str], around: str) -> _Field:
    code = match["code"].rsplit("::", 1)[-1]
    argument = (match["before"] or match["after"] or "").strip()
    field = _Field(code)
    if code in (">h", "<h", ">ha") or code in ("h", "ha"):
        side = code[0] if code[0] in "<>" else ">"
        field.slot, field.rank = _HEADERS.get((side, argument.lower()), ("", 9))
        header = True
    else:
        field.slot, field.rank = _MEANS.get(code, ("", 9))
        header = code in ("un", "ul", "ue", "us", "ui", "note")
    quote = match["quote"] or (around if header else "")
    if field.slot == "time" or code in ("tl", "tg"):
        field.clock = "epoch" if code in ("ts", "tS") else argument or _CLOCK
    elif quote in ("[", "]", "#"):
        field.written = PERCENT
    elif quote == "/":
        field.written = SHELL
    elif quote == '"':
        field.written = BACKSLASH
    field.quoted = quote == '"' or (around == '"' and quote == "" and header)
    field.loose = header or field.slot in ("url", "path")
    if (
        match["width"]
        and not match["left"]
        and (match["width"].startswith("0") or match["most"] == match["width"])
    ):
        field.width = int(match["width"]) if len(match["width"]) < 6 else 0
    return field


def _choose(fields: list[_Field]) -> None:
    """Of several codes for one slot the best stays; a fraction stays only beside whole seconds."""
    best: dict[str, _Field] = {}
    for field in fields:
        if field.slot and field.rank < best.get(field.slot, _Field("", rank=10)).rank:
            best[field.slot] = field
    if "time" in best and best["time"].code != "ts":
        best.pop("fraction", None)
    for field in fields:
        if field.slot and best.get(field.slot) is not field:
            field.slot = ""
