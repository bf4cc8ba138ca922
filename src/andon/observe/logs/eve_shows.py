"""Programs of jq that show events of Suricata's EVE log (``observe.logs.shows``).

They say over again what ``eve_records`` reads of http, tls and quic events. Which events of dns count depends on what
else is in the log, so where some are among the records that are to be shown there is no program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from andon.observe.logs.shows import JQ_EPOCH, JQ_HOST, Where, jq_client, jq_host, jq_text, jq_time
from andon.records.contact import DNS

_JQ: Final = (
    'def v(k): .http[k] // "" | tostring; '
    'def to: if v("http_method") | ascii_upcase == "CONNECT" '
    'then [1, if v("url") == "" then v("hostname") else v("url") end] '
    'elif v("url") | test("^[^/:]+://") then [2, v("url")] else [0, v("hostname")] end; '
    'def undot: sub("[.]$"; "") | ascii_downcase; '
    'def asks: (.dest_ip // "" | tostring | ascii_downcase) as $r | if .event_type == "http" then to as $t | '
    '($t[1] | if $t[0] == 2 then host else name end) | if . == "" and $t[0] == 0 then $r else . end '
    'elif .event_type == "tls" then (.tls.sni // "" | undot) | if . == "" then $r else . end '
    'elif .event_type == "quic" then (.quic.sni // "" | undot) else "" end; '
)


def shows(where: Where, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """("jq", program) that prints the lines of ``where``; None where it cannot say for certain which they are."""
    if DNS in where.via or where.field == "user":
        return None
    conditions = [jq_host(where, "asks"), jq_client(where, ".src_ip", '""'), *jq_time(where, ".timestamp")]
    if where.path is not None:
        url = (
            'if .event_type != "http" or v("url") == "*" then "" else to as $t | '
            'if $t[0] == 1 then "" elif $t[0] == 2 then v("url") | path else v("url") end end'
        )
        conditions.append(f"({url}) == {jq_text(where.path)}")
    functions = JQ_HOST + (JQ_EPOCH if where.start is not None or where.end is not None else "") + _JQ
    return "jq", f"{functions}fromjson? | objects | select({' and '.join(conditions)})"
