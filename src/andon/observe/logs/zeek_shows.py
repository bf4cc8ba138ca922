"""Programs of awk and jq that print the lines of Zeek's logs in which a terminal asked for a destination.

awk finds the columns by the heading, each time one comes, so a program holds for files whose columns differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from andon.observe.logs.zeek_records import MARKS
from andon.records.contact import LONGEST_URL

if TYPE_CHECKING:
    from andon.observe.logs.shows import Where

_LOCAL: Final = (".local", ".arpa")
_HEADING: Final = '/^#fields/{split("",n);for(i=2;i<=NF;i++)if(!($i in n))n[$i]=i-1;w=NF-1;next} /^#/{next} '
_FIELD: Final = "function f(x,v){if(!(x in n))return \"\";v=$n[x];return v==U||v==E?\"\":v} "
# The host of a request: of the URL if it has one, else of the header, else the server.
_HTTP: Final = (
    'function asked(m,u,h){m=toupper(f("method"));u=f("uri");h=f("host");'
    'if(m=="CONNECT")return host(u==""?h:u);if(u~/^[^\\/:][^:]*:\\/\\//)return host(u);'
    'h=host(h);return h==""?tolower(f("id.resp_h")):h} '
    'function part(m,u){m=toupper(f("method"));u=f("uri");if(m=="CONNECT"||u=="*")return "";'
    'return u~/^[^\\/:][^:]*:\\/\\//?path(u):u} '
)


def shows(where: Where, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """(tool, the program that prints the lines of ``where``); None where there is none."""
    return text(where, state) if "heading" in state else json(where, state)


def text(where: Where, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """("awk", program) for text logs; None for separators other than the tab, and for users."""
    from andon.observe.logs.shows import HOST, PATH, awk_host, awk_text, awk_time

    heading = state["heading"]
    if heading["separator"] != "\t" or not _plain(where):
        return None
    begin = f'BEGIN{{FS="\\t";U={awk_text(heading["unset"])};E={awk_text(heading["empty"])}}} '
    same = ['NF==w&&f("ts")~/^[0-9]+[.]?[0-9]*$/', f'f("id.orig_h")=={awk_text(where.terminal)}']
    time = awk_time(where, '(f("ts")*1000)')
    same += [time] if time != "1" else []
    http = [f'{awk_host(where, "asked()")}']
    if where.path is not None:
        http.append(f"part()=={awk_text(where.path)}")
    kinds = [f'("trans_depth" in n)&&{"&&".join(http)}']
    if where.path in (None, ""):
        question = 'q(f("query"))'
        local = "".join(f"&&{question}!~/[.]{ending[1:]}$/" for ending in _LOCAL)
        kinds.append(
            f'("trans_id" in n)&&!("trans_depth" in n)&&f("qtype")!=12&&f("qtype_name")!="PTR"&&'
            f'f("id.resp_p")!~/^(137|5353|5355)$/&&{question}~/[.]/{local}&&{awk_host(where, question)}'
        )
        name = '(q(f("server_name"))==""?tolower(f("id.resp_h")):q(f("server_name")))'
        kinds.append(
            f'("server_name" in n)&&!("client_initial_dcid" in n)&&!("trans_id" in n)&&{awk_host(where, name)}'
        )
    functions = f'{HOST}{PATH}{_FIELD}{_HTTP}function q(v){{sub(/[.]$/,"",v);return tolower(v)}} '
    return "awk", f"{functions}{begin}{_HEADING}{'&&'.join(same)}&&(({')||('.join(kinds)}))"


def json(where: Where, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """("jq", program) for JSON lines; None where lines were no JSON, at which jq stops."""
    from andon.observe.logs.shows import jq_text

    whole = all(bound is None or bound % 1_000_000_000 == 0 for bound in (where.start, where.end))
    if state["bad"] or not whole or not _plain(where):
        return None
    spelled = str(state["spelled"])
    ends = {end: _end(spelled, end) for end in ("orig_h", "resp_h", "resp_p")}
    known = " ".join(f'elif has("{field}") then "{log}"' for log, field in MARKS)
    kind = f'._path//({known[2:]} else "" end)'
    name = jq_text(where.host)
    same = f"(.==({name}))"
    if where.below:
        same = f"(.=={name} or endswith({jq_text('.' + where.host)}))"
    conditions = [f"({ends['orig_h']}=={jq_text(where.terminal)})"]
    time = (
        '(.ts|if type=="number" then (if .>1e11 then ./1000 else . end) '
        'else (sub("[.][0-9]+";"")|sub("Z?$";"Z")|fromdateiso8601) end)'
    )
    conditions += [f"{time}>={where.start // 1_000_000_000}"] if where.start is not None else []
    conditions += [f"{time}<{where.end // 1_000_000_000}"] if where.end is not None else []
    host = (
        'def host: sub("^[A-Za-z0-9+._-]+://";"")|sub("[/?#\\\\\\\\].*";"")|sub(".*@";"")|'
        'if startswith("[") then sub("^.";"")|sub("\\\\].*";"") elif test(":.*:")|not then sub(":.*";"") else . end|'
        'sub("[.]+$";"")|ascii_downcase;'
    )
    absolute = '(.uri//""|test("^[^/:][^:]*://"))'
    asked = (
        f'(if (.method//""|ascii_upcase)=="CONNECT" then (.uri//.host//""|host) elif {absolute} then (.uri|host) '
        f'else ((.host//""|host)|if .=="" then null else . end)//({ends["resp_h"]}|ascii_downcase) end)'
    )
    http = f"({asked}|{same})"
    if where.path is not None:
        part = (
            f'(if (.method//""|ascii_upcase)=="CONNECT" or .uri=="*" then "" elif {absolute} then '
            '(.uri|sub("^[^/:][^:]*://";"")|if test("[/?#]") then sub("^[^/?#]*";"") else "" end) else (.uri//"") end)'
        )
        http += f" and {part}=={jq_text(where.path)}"
    kinds = [f'($k=="http" and {http})']
    if where.path in (None, ""):
        lower = 'sub("[.]$";"")|ascii_downcase'
        kinds.append(
            f'($k=="dns" and .qtype!=12 and .qtype_name!="PTR" and ({ends["resp_p"]}|IN(137,5353,5355)|not) and '
            f'((.query//"")|{lower}|(test("[.]") and (test("[.](local|arpa)$")|not) and {same})))'
        )
        kinds.append(
            f'($k=="ssl" and (((.server_name//"")|{lower}|if .=="" then null else . end)//'
            f'({ends["resp_h"]}|ascii_downcase)|{same}))'
        )
    return "jq", f"{host} ({kind}) as $k|select({' and '.join(conditions)} and ({' or '.join(kinds)}))"


def _plain(where: Where) -> bool:
    """Can it be told by the address, and were its texts kept as they stand in the log?"""
    cut = where.path is not None and len(where.path.encode()) >= LONGEST_URL
    return where.field == "address" and not cut and "�" not in where.host + (where.path or "")


def _end(spelled: str, end: str) -> str:
    return f".id.{end}" if spelled == "id." else f'.["{spelled}{end}"]'.replace("\\", "")
