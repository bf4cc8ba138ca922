"""Expression to a Zeek script: a function on a packet's headers, called for every raw packet.

Field names are those of Zeek's ``ip4_hdr``, ``tcp_hdr`` and ``udp_hdr`` records (``scripts/base/init-bare.zeek``);
``addr_to_counts`` gives an address as a number in host order. A ``count`` has 64 bits, so 32-bit wrap-around is
written out as masks; shifts are written as products and quotients, which every Zeek with bit operators has. The TCP
flags are those of Zeek 6 and later, where ``flags`` holds all eight bits.

Written from Zeek's sources and documentation; not run here. One difference remains that a script cannot remove: Zeek
decides by itself whether a cut or fragmented packet has a TCP header.
"""

from __future__ import annotations

from andon.records.packet import TCP, UDP

from .algebra import folded
from .ast import And, Comparison, Const, Expression, Field, Fn, Key, NotExpressible, Sum, Value, needs_of
from .bits import possible_bits

MAX_CHARACTERS = 60_000
_WORD = "0xffffffff"
_FIELD = {
    "ip.src": "addr_to_counts(p$ip$src)[0]",
    "ip.dst": "addr_to_counts(p$ip$dst)[0]",
    "ip.id": "p$ip$id",
    "ip.ttl": "p$ip$ttl",
    "ip.len": "p$ip$len",
    "tcp.srcport": "port_to_count(p$tcp$sport)",
    "tcp.dstport": "port_to_count(p$tcp$dport)",
    "tcp.seq": "p$tcp$seq",
    "tcp.ack": "p$tcp$ack",
    "tcp.window": "p$tcp$win",
    "tcp.flags": "p$tcp$flags",
    "udp.srcport": "port_to_count(p$udp$sport)",
    "udp.dstport": "port_to_count(p$udp$dport)",
}


def to_zeek(expr: Expression) -> str:
    """A script that prints time and addresses of matching packets. Raises NotExpressible with the reason."""
    return (
        f"# {expr}\n"
        "# Written from Zeek's documentation; not run where it was written.\n"
        "function andon_match(p: raw_pkt_hdr): bool\n"
        "\t{\n"
        f"\treturn {_relation(expr)};\n"
        "\t}\n"
        "\n"
        "event raw_packet(p: raw_pkt_hdr)\n"
        "\t{\n"
        "\tif ( andon_match(p) )\n"
        '\t\tprint fmt("%.6f %s %s", network_time(), p$ip$src, p$ip$dst);\n'
        "\t}\n"
    )


def _relation(node: Expression) -> str:
    if isinstance(node, Comparison):
        needs = needs_of(node)
        if not needs:
            raise NotExpressible("a comparison without a field says nothing about a packet")
        guards = ["p?$ip"] + ["p?$tcp"] * bool(needs & TCP) + ["p?$udp"] * bool(needs & UDP)
        return " && ".join([*guards, f"{_value(node.left)} {node.op} {_value(node.right)}"])
    word = " && " if isinstance(node, And) else " || "
    return word.join(f"({_relation(term)})" for term in node.terms)


def _value(node: Value) -> str:
    """A count from 0 to 2^32 - 1, parenthesised unless it is one name, call or number."""
    node = folded(node)
    if isinstance(node, Field):
        return _FIELD[node.name]
    if isinstance(node, Const):
        return str(node)
    if isinstance(node, Key):
        raise NotExpressible("an unknown session key needs a query over sessions, not a test of one packet")
    text = _function(node) if isinstance(node, Fn) else _chain(node)
    if len(text) > MAX_CHARACTERS:
        raise NotExpressible(f"the script would have more than {MAX_CHARACTERS} characters")
    return text


def _chain(node: Sum) -> str:
    parts = [_value(term) for term in node.terms]
    if node.op in ("^", "|", "&"):
        return f"({f' {node.op} '.join(parts)})"
    if node.op == "+":
        return f"(({' + '.join(parts)}) & {_WORD})"
    text = parts[0]
    for term, part in zip(node.terms[1:], parts[1:], strict=True):
        folded_term = folded(term)
        if node.op == "-":  # counts do not go below zero
            text = f"(({text} + 0x100000000 - {part}) & {_WORD})"
        elif node.op == "*":
            text = f"(({text} * {part}) & {_WORD})"
        elif isinstance(folded_term, Const):
            text = _shift(node.op, text, folded_term.value)
        else:
            raise NotExpressible("a shift by a field has no plain form in Zeek")
    return text


def _shift(op: str, text: str, n: int) -> str:
    if n > 31:
        return f"({text} & 0)"
    return f"(({text} * {1 << n}) & {_WORD})" if op == "<<" else f"({text} / {1 << n})"


def _function(node: Fn) -> str:
    x, n = _value(node.argument), node.n or 0
    if node.name == "lo16" or (node.name == "rotl16" and n == 0):
        return x if possible_bits(node.argument) <= 0xFFFF else f"({x} & 0xffff)"
    if node.name == "hi16":
        return f"({x} / 65536)"
    if node.name == "bswap16":
        return f"((({x} & 0xff) * 256) | (({x} / 256) & 0xff))"
    if node.name == "bswap32":
        return (
            f"((({x} & 0xff) * 16777216) | (({x} & 0xff00) * 256)"
            f" | (({x} / 256) & 0xff00) | ({x} / 16777216))"
        )
    if n == 0:
        return x
    width, word = (32, _WORD) if node.name == "rotl32" else (16, "0xffff")
    return f"((({x} * {1 << n}) & {word}) | (({x} & {word}) / {1 << (width - n)}))"
