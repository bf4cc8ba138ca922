"""Programs that show lines of Zeek's logs: awk for text with headings, jq for JSON lines (``observe.logs.shows``).

They say over again what ``zeek_records`` reads: the host of http.log is that of the URL if the request was to a proxy,
else the Host field, else the server's address; of ssl.log the name in the handshake, else the server's address; of
dns.log the name that was asked for, if it is not one of an address or of the local network. awk finds the columns by
the heading, each time one comes, so a program holds for files whose columns change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from andon.observe.logs.shows import (
    HOST,
    JQ_EPOCH,
    JQ_HOST,
    PATH,
    Where,
    awk_host,
    awk_text,
    jq_client,
    jq_host,
    jq_text,
    jq_time,
    seconds,
)
from andon.records.contact import LONGEST_URL

# v: the value of a field; to: the URL or authority that says the host, z what it is (1 CONNECT, 2 URL, 0 Host field);
# l: which log the heading is of.
_AWK: Final = (
    r'function v(k){return k in n&&$n[k]!=U&&$n[k]!=E?$n[k]:""} '
    r'function to(){if(toupper(v("method"))=="CONNECT"){z=1;return v("uri")==""?v("host"):v("uri")} '
    r'if(v("uri")~/^[^\/:]+:\/\//){z=2;return v("uri")} z=0;return v("host")} '
    r'function undot(h){sub(/\.$/,"",h);return tolower(h)} '
    r'function log_of(){return p~/^(http|dns|ssl|conn)$/?p:"client_initial_dcid" in n?"":"trans_depth" in n?"http":'
    r'"conn_state" in n?"conn":"trans_id" in n?"dns":"certificate.version" in n?"":"cipher" in n||"established" in n?'
    r'"ssl":""} '
    r'function asks(h){z=0;if(l=="http"){h=to();h=z==2?host(h):name(h);return h==""&&!z?tolower(v("id.resp_h")):h} '
    r'if(l=="dns"){h=undot(v("query"));return v("qtype")==12||v("qtype_name")=="PTR"||h~/\.(local|arpa)$/||h!~/\./'
    r'||v("id.resp_p")~/^(137|5353|5355)$/?"":h} '
    r'if(l=="ssl"){h=undot(v("server_name"));return h==""?tolower(v("id.resp_h")):h} return ""} '
    r'/^#separator/{p=""} /^#path\t/{p=$2} '
    r"/^#fields\t/{for(k in n)delete n[k];c=NF-1;for(i=2;i<=NF;i++)if(!($i in n))n[$i]=i-1} /^#/{l=log_of();next} "
    r'{sub(/\r$/,"")} '
)
# The same; $r and $p are the server's address and port.
_JQ: Final = (
    'def v(k): .[k] // "" | tostring; '
    'def to: if v("method") | ascii_upcase == "CONNECT" then [1, if v("uri") == "" then v("host") else v("uri") end] '
    'elif v("uri") | test("^[^/:]+://") then [2, v("uri")] else [0, v("host")] end; '
    'def undot: sub("[.]$"; "") | ascii_downcase; '
    'def log: if ._path | IN("http", "dns", "ssl", "conn") then ._path elif has("client_initial_dcid") then "" '
    'elif has("trans_depth") then "http" elif has("conn_state") then "conn" elif has("trans_id") then "dns" '
    'elif has("certificate.version") then "" elif has("cipher") or has("established") then "ssl" else "" end; '
    'def asks: log as $l | if $l == "http" then to as $t | ($t[1] | if $t[0] == 2 then host else name end) | '
    'if . == "" and $t[0] == 0 then $r else . end '
    'elif $l == "dns" then v("qtype") as $q | v("qtype_name") as $k | (v("query") | undot) | '
    'if $q == "12" or $k == "PTR" or test("[.](local|arpa)$") or (test("[.]") | not) '
    'or ($p | test("^(137|5353|5355)$")) then "" else . end '
    'elif $l == "ssl" then (v("server_name") | undot) | if . == "" then $r else . end '
    'else "" end; '
)
_SPELLED: Final = {"id\\.": '.["id.{}"]', "id_": ".id_{}", "id.": ".id.{}"}


def shows(where: Where, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """(tool, program) that prints the lines of ``where``; None where it cannot say for certain which they are."""
    texts = where.host + where.terminal + (where.path or "")
    if not texts.isascii() or "\\" in texts or len(where.path or "") >= LONGEST_URL:
        return None  # Zeek escapes what is not ASCII, and long paths are cut
    return _json(where, state) if "spelled" in state else _text(where, state)


def _text(where: Where, state: Mapping[str, Any]) -> tuple[str, str] | None:
    heading = state["heading"]
    if heading["separator"] != "\t":
        return None
    begin = f'BEGIN{{FS="\\t";U={awk_text(heading["unset"])};E={awk_text(heading["empty"])}}} '
    address, user = f'tolower(v("id.orig_h"))=={awk_text(where.terminal)}', '(z?v("username"):"")'
    client = {
        "address": address,
        "user": f"{user}=={awk_text(where.terminal)}",
        "nobody": f'{address}&&{user}==""',
    }[where.field]
    conditions = ["NF==c", 'v("ts")~/^[0-9]+[.]?[0-9]*$/', f"({awk_host(where, 'asks()')})", client]
    if where.start is not None:
        conditions.append(f'v("ts")+0>={seconds(where.start)}')
    if where.end is not None:
        conditions.append(f'v("ts")+0<{seconds(where.end)}')
    if where.path is not None:
        url = '(z==1||v("uri")=="*"||l!="http"?"":z==2?path(v("uri")):v("uri"))'
        conditions.append(f"{url}=={awk_text(where.path)}")
    return "awk", begin + HOST + PATH + _AWK + "&&".join(conditions)


def _json(where: Where, state: Mapping[str, Any]) -> tuple[str, str] | None:
    end = _SPELLED.get(str(state["spelled"]))
    if end is None:
        return None
    user = '(if log == "http" and to[0] > 0 then v("username") else "" end)'
    conditions = [
        jq_host(where, "asks"),
        jq_client(where, end.format("orig_h"), user),
        *jq_time(where, ".ts"),
    ]
    if where.path is not None:
        url = (
            'if log != "http" or v("uri") == "*" then "" else to as $t | '
            'if $t[0] == 1 then "" elif $t[0] == 2 then v("uri") | path else v("uri") end end'
        )
        conditions.append(f"({url}) == {jq_text(where.path)}")
    bound = (
        f'({end.format("resp_h")} // "" | tostring | ascii_downcase) as $r | '
        f'({end.format("resp_p")} // "" | tostring) as $p | '
    )
    functions = JQ_HOST + (JQ_EPOCH if where.start is not None or where.end is not None else "")
    # $r and $p are bound before the functions that use them.
    return "jq", f"{functions}fromjson? | objects | {bound}{_JQ}select({' and '.join(conditions)})"
