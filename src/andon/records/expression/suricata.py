"""Expression to a Suricata rule: constants in header fields, and nothing else.

Suricata's header keywords compare one field with one constant (documentation, "Header Keywords": id, ttl, seq, ack,
flags, window, sameip, ipv4.hdr); byte_test and byte_math see the payload or one header buffer at a time and cannot
compare two headers. So ``tcp.seq == ip.dst`` has no rule, and the answer for it is NotExpressible.

Rules look at IPv4 alone: the source is ``0.0.0.0/0``. Written from the documentation; not run here.
"""

from __future__ import annotations

import re

from andon.records.packet import TCP, UDP

from .ast import Comparison, Const, Expression, Field, NotExpressible, Or, needs_of
from .canonical import canonical
from .keyed import conjuncts

_FLAGS = "FSRPAUEC"  # letter of each bit of tcp.flags, lowest first
_OPTION = {"ip.id": "id", "ip.ttl": "ttl", "tcp.seq": "seq", "tcp.ack": "ack", "tcp.window": "window"}
_NEGATABLE = {
    "tcp.window",
    "ip.len",
    "ip.src",
    "ip.dst",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
}


def to_suricata(expr: Expression, sid: int, msg: str) -> str:
    """One ``alert`` rule. Raises NotExpressible with the reason; ValueError for a bad ``sid`` or ``msg``.

    >>> from andon.records.expression import parse
    >>> to_suricata(parse("ip.id == 54321"), 1000001, "ZMap")
    'alert ip 0.0.0.0/0 any -> any any (msg:"ZMap"; id:54321; sid:1000001; rev:1;)'
    """
    if not 0 < sid < 2**32:
        raise ValueError(f"sid {sid} is not between 1 and 2^32 - 1")
    if not re.fullmatch(r'[^\x00-\x1f\x7f";\\|]{1,200}', msg):
        raise ValueError('msg must have 1 to 200 characters, without control characters and without " ; \\ |')
    expr = canonical(expr)
    needs = needs_of(expr)
    if needs & TCP and needs & UDP:
        raise NotExpressible("a rule is about TCP or about UDP")
    head = {"ip.src": "0.0.0.0/0", "ip.dst": "any", "srcport": "any", "dstport": "any"}
    options: dict[str, str] = {}
    for part in conjuncts(expr):
        if isinstance(part, Or):
            raise NotExpressible("one rule cannot say 'or'; write one rule per alternative")
        if not isinstance(part, Comparison):
            raise NotExpressible(f"no rule for {part}")
        _add(part, head, options)
    protocol = "tcp" if needs & TCP else "udp" if needs & UDP else "ip"
    where = f"{head['ip.src']} {head['srcport']} -> {head['ip.dst']} {head['dstport']}"
    body = "".join(f"{text} " for text in options.values())
    return f'alert {protocol} {where} (msg:"{msg}"; {body}sid:{sid}; rev:1;)'


def _add(part: Comparison, head: dict[str, str], options: dict[str, str]) -> None:
    left, right = part.left, part.right
    if part.op == "==" and isinstance(left, Field) and left == right:
        return  # only says that the header is there, which the protocol of the rule says
    if {str(left), str(right)} == {"ip.src", "ip.dst"} and part.op == "==":
        options["sameip"] = "sameip;"
        return
    if not (isinstance(left, Field) and isinstance(right, Const)):
        raise NotExpressible(f"Suricata compares a header field with a constant only, not: {part}")
    name, value = left.name, right.value
    no = "!" if part.op == "!=" else ""
    if no and name not in _NEGATABLE:
        raise NotExpressible(f"the keyword for {name} has no documented negation")
    slot = name.split(".")[1] if name.endswith("port") else name
    if name in options or head.get(slot, "any") not in ("any", "0.0.0.0/0"):
        raise NotExpressible(f"a rule holds one condition on {name}")
    if name.endswith("port"):
        head[slot] = f"{no}{value}"
    elif name in ("ip.src", "ip.dst"):
        head[name] = no + ".".join(str(byte) for byte in value.to_bytes(4, "big"))
        if name == "ip.src" and no:
            head[name] = f"[0.0.0.0/0,{head[name]}]"
    elif name == "ip.len":
        options[name] = f'ipv4.hdr; content:{no}"|{value >> 8:02x} {value & 255:02x}|"; offset:2; depth:2;'
    elif name == "tcp.flags":
        letters = "".join(letter for bit, letter in enumerate(_FLAGS) if value >> bit & 1)
        options[name] = f"flags:{letters or '0'};"
    else:
        options[name] = f"{_OPTION[name]}:{no}{value};"
