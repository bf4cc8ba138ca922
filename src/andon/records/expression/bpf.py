"""Expression to tcpdump filter (libpcap, pcap-filter(7)): selects exactly the packets that the predicate selects.

Three things make that less than word for word:

* A load beyond the captured bytes rejects the whole packet, where the predicate says only "absent". So in a filter
  with ``or`` the part that needs no transport header is put first: when a transport load fails, nothing that could
  still be true is left.
* ``tcp[...]`` takes what follows the IPv4 header for a TCP header even where the datagram ends inside it. With
  ``whole`` (default) the filter asks for the fixed header to be there, as the packet record does.
* ``vlan`` shifts the offsets of all that follows it, so tagged frames need ``(F) or (vlan and (F))``.

The optimiser of libpcap 1.10.3 miscompiles some long filters: it drops the store to a memory word that it reads again
later (seen with ``tcpdump -d``). ``tcpdump -O`` turns it off and is right; checks with long arithmetic should use it.

libpcap's arithmetic is unsigned with 32 bits, as ours; ``tcp[...]`` already stands for "IPv4, TCP, first fragment"
and skips IPv4 options.
"""

from __future__ import annotations

from andon.records.packet import TCP, UDP

from .algebra import folded
from .ast import (
    FALSE,
    TRUE,
    And,
    Comparison,
    Const,
    Expression,
    Field,
    Fn,
    Key,
    NotExpressible,
    Or,
    Value,
    needs_of,
)
from .bits import possible_bits

_HEADER = "ip[2:2] - ((ip[0] & 0xf) << 2)"
_REGISTERS = 14  # libpcap has 16 memory words; two are left for its own use
MAX_CHARACTERS = 60_000


def to_bpf(expr: Expression, vlan: bool | int = False, *, whole: bool = True) -> str:
    """A tcpdump filter for the expression.

    ``vlan``: how many 802.1Q/802.1ad tags a frame may carry (True: one); each level doubles nothing but adds the
    filter once more, nested: ``(F) or (vlan and (F))``. Only for Ethernet captures: libpcap refuses ``vlan`` on raw
    IP. ``whole=False`` leaves out the tests that the transport header is complete: shorter, and the same on captures
    without cut headers. Raises NotExpressible for keyed expressions, for those that no packet can satisfy (tcpdump
    refuses them) and for those too large for libpcap.

    >>> from andon.records.expression import parse
    >>> to_bpf(parse("tcp.seq == ip.dst"), whole=False)
    'ip and tcp and tcp[4:4] = ip[16:4]'
    """
    reachable = _possible(expr)
    if reachable == FALSE:
        raise NotExpressible("no packet can satisfy the expression, and tcpdump refuses such a filter")
    text = _network_part_first(reachable, whole)
    nested = text
    for _ in range(int(vlan)):
        nested = f"({text}) or (vlan and ({nested}))"
        if len(nested) > MAX_CHARACTERS:
            raise NotExpressible("the filter grows too large for libpcap")
    return nested


def _possible(node: Expression) -> Expression:
    """Without the parts that ask one packet to be both TCP and UDP, and without constant truths."""
    if isinstance(node, Comparison):
        if needs_of(node) & TCP and needs_of(node) & UDP:
            return FALSE
        left, right = folded(node.left), folded(node.right)
        if isinstance(left, Const) and isinstance(right, Const):
            return TRUE if (left == right) == (node.op == "==") else FALSE
        return Comparison(left, node.op, right)
    parts = [_possible(term) for term in node.terms]
    made = _join(node, parts)
    if isinstance(made, And) and _required(made) >= {"tcp", "udp"}:
        return FALSE
    return made


def _join(node: And | Or, parts: list[Expression]) -> Expression:
    neutral, absorbing = (TRUE, FALSE) if isinstance(node, And) else (FALSE, TRUE)
    if absorbing in parts:
        return absorbing
    kept = [part for part in parts if part != neutral]
    if len(kept) < 2:
        return kept[0] if kept else neutral
    return type(node)(tuple(kept))


def _without_transport(node: Expression) -> Expression:
    """The expression with every comparison on a transport field taken for false."""
    if isinstance(node, Comparison):
        return FALSE if needs_of(node) & (TCP | UDP) else node
    return _join(node, [_without_transport(term) for term in node.terms])


def _network_part_first(node: Expression, whole: bool) -> str:
    first = _without_transport(node)
    if first in (FALSE, node):
        return _relation(node, frozenset(), whole)
    if isinstance(node, Or):
        kinds = [_without_transport(term) for term in node.terms]
        if all(kind in (FALSE, term) for kind, term in zip(kinds, node.terms, strict=True)):
            ranked = sorted(zip(kinds, node.terms, strict=True), key=lambda pair: pair[0] == FALSE)
            return _relation(Or(tuple(term for _, term in ranked)), frozenset(), whole)
    return f"({_relation(first, frozenset(), whole)}) or ({_relation(node, frozenset(), whole)})"


def _required(node: Expression) -> frozenset[str]:
    """The protocols without which the relation cannot hold."""
    if isinstance(node, Comparison):
        needs = needs_of(node)
        names = {"ip"} if needs else set()
        return frozenset(names | ({"tcp"} if needs & TCP else set()) | ({"udp"} if needs & UDP else set()))
    sets = [_required(term) for term in node.terms]
    return frozenset.union(*sets) if isinstance(node, And) else frozenset.intersection(*sets)


def _guards(protocols: frozenset[str], whole: bool) -> list[str]:
    parts: list[str] = [name for name in ("ip", "tcp", "udp") if name in protocols]
    if whole and "tcp" in protocols:
        parts += [f"{_HEADER} >= 20", "tcp[19] >= 0"]
    if whole and "udp" in protocols:
        parts += [f"{_HEADER} >= 8", "udp[7] >= 0"]
    return parts


def _relation(node: Expression, known: frozenset[str], whole: bool) -> str:
    required = _required(node)
    guards = _guards(required - known, whole)
    inside = known | required
    if isinstance(node, Comparison):
        sides = []
        for side in (node.left, node.right):
            if _registers(side) > _REGISTERS:
                raise NotExpressible("the arithmetic is nested too deeply for libpcap's 16 memory words")
            sides.append(_value(side))
        return " and ".join([*guards, f"{sides[0]} {'=' if node.op == '==' else '!='} {sides[1]}"])
    if isinstance(node, And):
        return " and ".join([*guards, *(_parenthesised(term, inside, whole) for term in node.terms)])
    text = " or ".join(_parenthesised(term, inside, whole) for term in node.terms)
    return " and ".join([*guards, f"({text})"]) if guards else text


def _parenthesised(node: Expression, known: frozenset[str], whole: bool) -> str:
    text = _relation(node, known, whole)
    if isinstance(node, Comparison) and _required(node) <= known:
        return text
    return f"({text})"


def _number(value: int) -> str:
    return str(value) if value <= 9 else hex(value)


def _value(node: Value) -> str:
    """Parenthesised wherever it is not a single accessor or number: tcpdump's own precedences do not matter then."""
    if isinstance(node, Field):
        return node.info.bpf
    if isinstance(node, Const):
        return _number(node.value)
    if isinstance(node, Key):
        raise NotExpressible(
            "a filter sees one packet at a time; an unknown session key needs a query over sessions"
        )
    if isinstance(node, Fn):
        return _function(node.name, node.n or 0, _value(node.argument))
    text = _value(node.terms[0])
    for term in (folded(term) for term in node.terms[1:]):
        if isinstance(term, Const) and node.op in ("<<", ">>") and term.value > 31:
            text = f"({text} & 0)"  # libpcap refuses longer shifts; the field must still be there
            continue
        right = _value(term)
        if node.op in ("<<", ">>") and possible_bits(term) > 31:
            # What libpcap does with a longer shift depends on where the filter runs: shift by the low five bits, and
            # multiply by 1 where the higher bits are zero, else by 0.
            # libpcap takes the first constant of a shift's amount for the amount, so 31 comes first.
            text = f"(({text} {node.op} (31 & {right})) * (1 - ((({right} >> 5) + 0x7ffffff) >> 27)))"
        else:
            text = f"({text} {node.op} {right})"
        if len(text) > MAX_CHARACTERS:
            raise NotExpressible("the filter grows too large for libpcap")
    return text


def _function(name: str, n: int, x: str) -> str:
    if len(x) * 4 > MAX_CHARACTERS:
        raise NotExpressible("the filter grows too large for libpcap")
    if name == "lo16" or (name == "rotl16" and n == 0):
        return f"({x} & 0xffff)"
    if name == "hi16":
        return f"({x} >> 16)"
    if name == "bswap16":
        return f"((({x} & 0xff) << 8) | (({x} >> 8) & 0xff))"
    if name == "bswap32":
        return f"(({x} << 24) | (({x} & 0xff00) << 8) | (({x} >> 8) & 0xff00) | ({x} >> 24))"
    if n == 0:
        return x
    if name == "rotl32":
        return f"(({x} << {n}) | ({x} >> {32 - n}))"
    return f"((({x} << {n}) & 0xffff) | (({x} & 0xffff) >> {16 - n}))"


def _registers(node: Value) -> int:
    """Memory words that libpcap holds at once while it works out the value (left operand first)."""
    if isinstance(node, (Field, Const, Key)):
        return 1
    if isinstance(node, Fn):
        return _registers(node.argument) + 2
    extra = 3 if node.op in ("<<", ">>") else 0
    return extra + max(_registers(term) + (index > 0) for index, term in enumerate(node.terms))
