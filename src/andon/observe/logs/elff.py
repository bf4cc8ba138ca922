"""W3C extended log files (Hallam-Baker, Behlendorf, WD-logfile-960323), as Blue Coat's proxies and IIS write them.

``#Fields:`` names the columns, and may do so anew anywhere in a file; ``#Date:`` gives the day where a log has times
alone. Times are UTC and, as the draft has it, those of the end; ``time-taken`` is milliseconds without a decimal point
(Blue Coat, IIS) and seconds with one (the draft). IIS names no host of its own unless ``cs-host`` is logged: then the
server's address is the destination.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from andon.observe.logs.options import Options

if TYPE_CHECKING:
    from andon.observe.logs import Lines
    from andon.observe.logs.shows import Where

# What a field gives to a contact, the better the lower its number.
FIELDS: Final[dict[str, tuple[str, int]]] = {
    "c-ip": ("address", 0), "c-dns": ("address", 1), "cs-username": ("user", 0), "cs-userdn": ("user", 1),
    "cs-auth-user": ("user", 2), "cs-method": ("method", 0), "cs-uri": ("url", 0), "c-uri": ("url", 1),
    "cs-uri-host": ("host", 0), "cs-host": ("host", 1), "cs(host)": ("host", 2), "r-dns": ("host", 3),
    "c-uri-host": ("host", 4), "cs-uri-address": ("host", 5), "r-host": ("host", 6),
    "cs-uri-port": ("port", 0), "c-uri-port": ("port", 1), "r-port": ("port", 2),
    "cs-uri-scheme": ("scheme", 0), "c-uri-scheme": ("scheme", 1), "cs-uri-path": ("path", 0),
    "cs-uri-stem": ("path", 1), "c-uri-path": ("path", 2), "cs-uri-query": ("query", 0), "c-uri-query": ("query", 1),
    "sc-status": ("status", 0), "rs-status": ("status", 1), "sc-bytes": ("bytes_in", 0), "cs-bytes": ("bytes_out", 0),
    "time-taken": ("elapsed", 0), "s-action": ("action", 0), "s-hierarchy": ("hierarchy", 0),
    "r-ip": ("server", 0), "s-supplier-ip": ("server", 1), "cs(referer)": ("referer", 0),
    "cs(user-agent)": ("agent", 0), "rs(content-type)": ("mime", 0), "sc(content-type)": ("mime", 1),
    "rs(location)": ("location", 0), "sc(location)": ("location", 1), "cs-categories": ("category", 0),
    "sc-filter-category": ("category", 1), "cs-category": ("category", 2), "sc-filter-result": ("verdict", 0),
    "x-exception-id": ("verdict", 1), "x-rs-connection-negotiated-sni": ("sni", 0), "x-cs-sni": ("sni", 1),
    "timestamp": ("time", 1), "x-timestamp-unix": ("time", 1), "x-timestamp-unix-utc": ("time", 1),
    "gmttime": ("time", 2), "localtime": ("time", 3), "time": ("time", 4),
}  # fmt: skip
CLOCKS: Final = {
    "gmttime": "[%d/%m/%Y:%H:%M:%S %Z]", "localtime": "[%d/%b/%Y:%H:%M:%S %z]", "time": "%H:%M:%S%f"
}  # fmt: skip
_HEADING: Final = b"#fields:"
# awk: n has the numbers of the fields that are named, f the fields of a line. Blanks in quotes and brackets part none.
_CUT: Final = (
    r"/^#[Ff]ields:/{for(k in n)delete n[k];c=split(substr($0,9),h);for(i=1;i<=c;i++)n[tolower(h[i])]=i;next} "
    r'/^#/{next} {r=" " $0;sub(/\r+$/,"",r);l="";while(match(r,/[ \t]"([^"]|"")*"/)){x=substr(r,RSTART+2,RLENGTH-3);'
    r'gsub(/[ \t]/,"\001",x);gsub(/""/,"\"",x);l=l substr(r,1,RSTART) (x==""?"-":x);r=substr(r,RSTART+RLENGTH)} l=l r;'
    r'if(match(l,/\[[^\]]*\]/)){x=substr(l,RSTART,RLENGTH);gsub(/ /,"\001",x);'
    r"l=substr(l,1,RSTART-1) x substr(l,RSTART+RLENGTH)} k=split(l,f)} k==c&&"
)


def recognise(head: bytes, name: str) -> bool:
    """Does it begin with directives, among them fields that name a client and a destination?"""
    if not head.startswith((b"#", b"\xef\xbb\xbf#")):
        return False
    for line in head[:65_536].removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if not line.startswith(b"#"):
            return False
        if line[:8].lower() == _HEADING:
            return bool(columns(field_names(line)))
    return False


def lines(head: bytes, options: Options, state: Mapping[str, Any] | None) -> Lines:
    """See ``observe.logs``."""
    from andon.observe.logs.elff_lines import ElffLines

    return ElffLines(head, state)


def shows(where: Where, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """("awk", the program that prints the lines of ``where``), by the fields that stand above them. None where times in
    it are not of ``date`` and ``time``, and times matter."""
    from andon.observe.logs.shows import DAYS, HOST, PATH, awk_client, awk_host, awk_text, awk_time

    found = columns([str(name) for name in state.get("fields", [])])
    names = [str(name).lower() for name in state.get("fields", [])]
    if state.get("changed"):  # what the names are of may differ above and below
        return None
    if not found or (where.path is not None and "url" not in found and "path" not in found):
        return None
    field = {slot: f"f[n[{awk_text(names[number])}]]" for slot, number in found.items()}
    if "address" not in field and where.field != "user":
        return None
    client = awk_client(where, field.get("address", ""), field.get("user", ""))
    if client is None:
        return None
    asked = field.get("url") or field.get("host") or field["sni"]
    conditions = [client, awk_host(where, f"host({asked})")]
    if where.start is not None or where.end is not None:
        if "time2" not in field:
            return None
        date, time, took = field["time"], field["time2"], field.get("elapsed", "0")
        begun = (
            f"1000*(86400*days(substr({date},1,4),substr({date},6,2),substr({date},9,2))+3600*substr({time},1,2)"
            f"+60*substr({time},4,2)+substr({time},7))-({took}>0?({took}~/[.]/?1000*{took}:{took}):0)"
        )
        conditions.append(awk_time(where, f"({begun})"))
    if where.path is not None:
        if "path" in field:
            query = field.get("query", '""')
            whole = f'{field["path"]}({query}~/^(-|)$/?"":({query}~/^[?]/?"":"?"){query})'
        else:
            whole = f"path({field['url']})"
        conditions.append(f"{whole}=={awk_text(where.path)}")
    return "awk", HOST + DAYS + PATH + _CUT + "&&".join(conditions)


def field_names(line: bytes) -> list[str]:
    """Names of the columns, by a ``#Fields:`` line; at most 1,024."""
    return line[8:].decode("utf-8", "replace").split()[:1024]


def columns(names: list[str]) -> dict[str, int]:
    """Slot: number of its column. Empty if these are no fields of requests (no time, client or destination).

    >>> columns(["date", "time", "c-ip", "cs-host"])
    {'time': 0, 'time2': 1, 'address': 2, 'host': 3}
    """
    lowered = [name.lower() for name in names]
    found: dict[str, int] = {}
    ranks: dict[str, int] = {}
    for number, name in enumerate(lowered):
        slot, rank = FIELDS.get(name, ("", 9))
        if slot and rank < ranks.get(slot, 99):
            found[slot], ranks[slot] = number, rank
    if "date" in lowered and "time" in lowered:
        found["time"], found["time2"] = lowered.index("date"), lowered.index("time")
    if not found.keys() & {"url", "host", "sni"} and "s-ip" in lowered:  # IIS
        found["host"] = lowered.index("s-ip")
        if "s-port" in lowered:
            found["port"] = lowered.index("s-port")
    whole = "time" in found and found.keys() & {"address", "user"} and found.keys() & {"url", "host", "sni"}
    return dict(sorted(found.items(), key=lambda item: item[1])) if whole else {}
