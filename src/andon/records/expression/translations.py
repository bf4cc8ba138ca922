"""One expression in every language there is a printer for."""

from __future__ import annotations

from collections.abc import Callable

from .ast import Expression, NotExpressible
from .bpf import to_bpf
from .canonical import canonical
from .parse import parse
from .sql import count_sql, session_sql
from .suricata import to_suricata
from .zeek import to_zeek

_SID = 9_000_001  # the range for local use


def translations(text: str) -> dict[str, str]:
    """Language -> text; "not expressible: REASON" where a language cannot say it. Raises ExpressionError.

    >>> translations("ip.id == 54321")["tcpdump (short)"]
    'ip and ip[4:2] = 0xd431'
    """
    expression = parse(text)
    printers: dict[str, Callable[[Expression], str]] = {
        "tcpdump": to_bpf,
        "tcpdump (short)": lambda e: to_bpf(e, whole=False),
        "tcpdump (one VLAN tag or none)": lambda e: to_bpf(e, vlan=True),
        "sql": _sql,
        "suricata": lambda e: to_suricata(e, _SID, "Andon relation"),
        "zeek": to_zeek,
    }
    result = {"canonical": str(canonical(expression))}
    for language, printer in printers.items():
        try:
            result[language] = printer(expression)
        except NotExpressible as error:
            result[language] = f"not expressible: {error}"
    return result


def _sql(expression: Expression) -> str:
    try:
        return count_sql(expression)
    except NotExpressible:
        return session_sql(expression)
