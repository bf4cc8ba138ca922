"""Squid's access.log: its native, common and combined format; and Apache's, where Apache is a forward proxy.

Squid writes a line when a transaction ends; a contact is when it began: the time less the elapsed milliseconds, if the
format has them. What the proxy says it did (TCP_MISS, TCP_DENIED) is the action.

Other formats are read by their ``logformat`` (``custom``, ``logformat``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from andon.observe.logs.options import Options

if TYPE_CHECKING:
    from andon.observe.logs import Lines
    from andon.observe.logs.shows import Where

_LOOK: Final = 50  # lines
_CLIENT: Final = rb"[0-9A-Za-z.:_%-]{1,255}"
_CLF: Final = _CLIENT + rb" \S+ (?:\S+|\"[^\"]*\") \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
_ASKED: Final = rb"\"(?:CONNECT [^\s\"]+:\d+|[!-~]+ [a-z_]+:[^\"]*) [A-Z]+/[\d.-]+\" (?:\d{3}|0) (?:\d+|-)"
_NAMED: Final = rb" \".*\" \".*\""
_TAIL: Final = rb" [A-Z_]+:[A-Z_]+"
_END: Final = rb"[ \r]*"
_FORMATS: Final = {
    "squid": re.compile(
        rb" *\d{9,11}\.\d{3} +-?\d+ " + _CLIENT + rb" [A-Z_]+/\d{3} -?\d+ [!-~]+ \S+ \S+ [A-Z_]+/\S+ [!-~]+(?: \[.*)?"
        + _END
    ),
    "combined": re.compile(_CLF + _ASKED + _NAMED + _TAIL + _END),
    "common": re.compile(_CLF + _ASKED + _TAIL + _END),
    "apache": re.compile(_CLF + _ASKED + _NAMED + _END),
    "apache-common": re.compile(_CLF + _ASKED + _END),
}  # fmt: skip


def recognise(head: bytes, name: str) -> bool:
    """Does it begin with lines of one of these formats, six in ten at least?"""
    return bool(_format(head))


def lines(head: bytes, options: Options, state: Mapping[str, Any] | None) -> Lines:
    """See ``observe.logs``. Raises ValueError where no format fits."""
    from andon.observe.logs.formatted import Formatted

    named = str((state or {}).get("logformat", "")) or _format(head)
    if not named:
        raise ValueError("no lines of Squid's formats")
    return Formatted(named, state)


def shows(where: Where, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """("awk", the program that prints the lines of ``where``); None for formats other than the built-in ones."""
    from andon.observe.logs.shows import DAYS, HOST, PATH, awk_client, awk_host, awk_text, awk_time

    named = str(state.get("logformat", ""))
    if named == "squid":
        client = awk_client(where, "$3", "$8")
        url, taken, functions, begun = "$7", "", HOST, "int($1*1000+.5)-($2>0?$2:0)"
        lines = "NF>9&&$1~/^[0-9.]+$/&&$2~/^-?[0-9]*$/&&$5~/^-?[0-9]*$/"
    elif named in ("common", "combined", "apache", "apache-common"):
        client = awk_client(where, "c[1]", "c[3]")
        # [05/Jan/2026:09:30:00 +0900] begins at the first bracket; the request is between the first two quotes.
        taken = (
            '{split($1,c,/ +/);split($2,r,/ +/);split($3,s,/ +/);t=substr($1,index($1,"[")+1);z=substr(t,22);'
            'm=(index("JanFebMarAprMayJunJulAugSepOctNovDec",substr(t,4,3))+2)/3;'
            "w=1000*(86400*days(substr(t,8,4),m,substr(t,1,2))+3600*substr(t,13,2)+60*substr(t,16,2)+substr(t,19,2)"
            "-(z~/^-/?-1:1)*(3600*substr(z,2,2)+60*substr(z,4,2)))} "
        )
        url, functions, begun = "r[2]", HOST + DAYS, "w"
        lines = "!/^#/&&NF>2&&s[2]~/^[0-9]+$/&&s[3]~/^([0-9]+|-)$/"
    else:
        return None
    if client is None:
        return None
    conditions = [lines, client, awk_host(where, f"host({url})"), awk_time(where, f"({begun})")]
    if where.path is not None:
        functions += PATH
        conditions.append(f"path({url})=={awk_text(where.path)}")
    separator = "" if named == "squid" else r'BEGIN{FS="\""} '
    return "awk", f"{functions}{separator}{taken}" + "&&".join(one for one in conditions if one != "1")


def _format(head: bytes) -> str:
    """The format that most of the first lines have; "" if too few of them have one."""
    from andon.observe.logs.heads import first_lines

    some = first_lines(head, _LOOK)
    counts = {name: sum(one.fullmatch(line) is not None for line in some) for name, one in _FORMATS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] * 10 >= 6 * len(some) and counts[best] else ""
