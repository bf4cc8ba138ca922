"""Programs of awk and jq that show the lines of a log in which a terminal asked for a destination.

A format says how (``shows(where, state)`` of its module, see ``observe.logs``): the program prints just the lines that
``where`` is about, so that whoever has the log sees them with a tool that is none of ours, and can count them. Host
names and user names are attackers' text: what is not a letter, a digit or one of a few marks is written as an octal
escape (awk) or a ``\\u`` escape (jq), so nothing in it can end a string, a program or a quotation of the shell.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Final

# Functions of awk that programs share. `host` and `path` take a URL, or HOST:PORT, `name` the latter; `days` a date.
HOST: Final = (
    r'function name(u){sub(/.*@/,"",u);gsub(/%5[Bb]/,"[",u);gsub(/%5[Dd]/,"]",u);'
    r'if(u~/^\[/){u=substr(u,2);sub(/\].*/,"",u)}else if(u!~/:.*:/)sub(/:.*/,"",u);sub(/\.+$/,"",u);return tolower(u)} '
    r'function host(u){sub(/^[A-Za-z0-9+._-]+:\/\//,"",u);sub(/[\/?#\\].*/,"",u);return name(u)} '
)
PATH: Final = (
    r'function path(u){sub(/^[A-Za-z0-9+._-]+:\/\//,"",u);return match(u,/[\/?#\\]/)?substr(u,RSTART):""} '
)
# Days since 1970 (Gregorian, years that begin in March).
DAYS: Final = (
    "function days(y,m,d){if(m+0<3){y--;m+=12} "
    "return 365*y+int(y/4)-int(y/100)+int(y/400)+int((153*m-457)/5)+d-719469} "
)
# The same in jq, and seconds since 1970 of a number or an ISO 8601 time.
JQ_HOST: Final = (
    'def bare: sub("^[A-Za-z0-9+._-]+://"; ""); '
    'def name: sub(".*@"; "") | if startswith("[") then .[1:] | sub("[]].*"; "") '
    'elif test(":.*:") then . else sub(":.*"; "") end | sub("[.]+$"; "") | ascii_downcase; '
    r'def host: bare | sub("[/?#\\\\].*"; "") | name; '
    r'def path: bare | if test("[/?#\\\\]") then sub("^[^/?#\\\\]*"; "") else "" end; '
)
JQ_EPOCH: Final = (
    'def epoch: if type == "number" then . else '
    'capture("^(?<d>[0-9-]{10})[T ](?<t>[0-9:]{8})(?<f>[.][0-9]+)?(?<z>Z|[+-][0-9:]+)?$") | '
    '(.d + "T" + .t + "Z" | fromdate) + ("0" + (.f // ".0") | tonumber) '
    '- (if .z == null or .z == "Z" then 0 else (.z | gsub(":"; "")) as $z | (if $z[0:1] == "-" then -1 else 1 end) '
    '* (3600 * ($z[1:3] | tonumber) + 60 * ($z[3:5] | if . == "" then 0 else tonumber end)) end) end; '
)
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "._:@/=,+ -")


@dataclass(frozen=True)
class Where:
    """Lines of ``terminal`` that ask for ``host`` (or a name below it, if ``below``). ``field``: what the terminal is
    in the log: "address", "user", or "nobody" (the address, and no user is named). ``start`` and ``end``: ns, the end
    exclusive, None if any time will do; ``path``: of the URL, None if any will do."""

    terminal: str
    field: str
    host: str
    below: bool = False
    start: int | None = None
    end: int | None = None
    path: str | None = None
    via: frozenset[str] = frozenset()  # what the contacts are (``records.contact``: HTTP, TUNNEL, TLS, DNS)


def awk_text(text: str) -> str:
    r"""A string of awk. No byte of it but the quotes around it means anything to awk or a shell.

    >>> awk_text("a.example"), awk_text("x'$(id)\\")
    ('"a.example"', '"x\\047\\044\\050id\\051\\134"')
    """
    escaped = "".join(chr(byte) if chr(byte) in _PLAIN else f"\\{byte:03o}" for byte in text.encode())
    return f'"{escaped}"'


def jq_text(text: str) -> str:
    r"""A string of jq, likewise.

    >>> jq_text("x'\\(id)")
    '"x\\u0027\\u005c\\u0028id\\u0029"'
    """
    units = text.encode("utf-16-be")
    points = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    escaped = "".join(chr(point) if chr(point) in _PLAIN else f"\\u{point:04x}" for point in points)
    return f'"{escaped}"'


def awk_host(where: Where, asked: str) -> str:
    """Condition of awk: the text ``asked``, a host in small letters, is the destination."""
    same = f"{asked}=={awk_text(where.host)}"
    if not where.below:
        return same
    tail = "." + where.host
    size = len(tail.encode())
    return f"({same}||substr({asked},length({asked})-{size - 1})=={awk_text(tail)})"


def awk_client(where: Where, address: str, user: str) -> str | None:
    """Condition of awk on the fields of the client's address and of the user; None if a user cannot be told in it."""
    if where.field == "user":
        if not user or any(c.isspace() for c in where.terminal):
            return None  # fields end at blanks
        return "(" + "||".join(f"{user}=={awk_text(form)}" for form in _written(where.terminal)) + ")"
    text = awk_text(where.terminal)
    same = f"(tolower({address})=={text}||tolower({address})=={awk_text('::ffff:' + where.terminal)})"
    if where.field == "nobody":
        return f'{same}&&{user}=="-"' if user else same
    return same


def _written(user: str) -> list[str]:
    """How a proxy may write a user's name: as it is, with backslashes doubled, or with percent escapes."""
    coded = user.encode()
    kept = (
        frozenset((string.ascii_letters + string.digits + "._-@~").encode()),
        frozenset(range(0x21, 0x7F)) - {0x25},
        frozenset(range(0x21, 0x7F)) - frozenset(b"%\\"),
    )
    forms = [user, user.replace("\\", "\\\\")]
    for form in ("%%%02X", "%%%02x"):
        forms += ["".join(chr(byte) if byte in some else form % byte for byte in coded) for some in kept]
    return list(dict.fromkeys(forms))


def awk_time(where: Where, milliseconds: str) -> str:
    """Condition of awk on a whole number of milliseconds since 1970; "1" if any time will do."""
    found = []
    if where.start is not None:
        found.append(f"{milliseconds}>={-(-where.start // 1_000_000)}")
    if where.end is not None:
        found.append(f"{milliseconds}<{-(-where.end // 1_000_000)}")
    return "&&".join(found) or "1"


def seconds(ns: int) -> str:
    """Seconds since 1970, up to the next millisecond.

    >>> seconds(1_767_605_400_000_500_000)
    '1767605400.001'
    """
    whole, milliseconds = divmod(-(-ns // 1_000_000), 1000)
    return f"{whole}.{milliseconds:03d}"


def jq_host(where: Where, asked: str) -> str:
    """Condition of jq: the text that ``asked`` gives, a host in small letters, is the destination."""
    same = f"{asked} == {jq_text(where.host)}"
    return f"({same} or ({asked} | endswith({jq_text('.' + where.host)})))" if where.below else f"({same})"


def jq_client(where: Where, address: str, user: str) -> str:
    """Condition of jq on what gives the client's address and the user."""
    same = f'(({address} // "" | tostring | ascii_downcase) == {jq_text(where.terminal)})'
    if where.field == "user":
        return f"({user} == {jq_text(where.terminal)})"
    return f'{same} and ({user} == "")' if where.field == "nobody" else same


def jq_time(where: Where, time: str) -> list[str]:
    """Conditions of jq on a time, as ``JQ_EPOCH`` reads it."""
    found = []
    if where.start is not None:
        found.append(f"(({time} | epoch) >= {seconds(where.start)})")
    if where.end is not None:
        found.append(f"(({time} | epoch) < {seconds(where.end)})")
    return found
