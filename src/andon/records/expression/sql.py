"""Expression to SQL over packet tables, in DuckDB's dialect.

Columns have the names of the packet record, in its unsigned types or in the signed types one size up of the stored
history (`layers` SMALLINT, ports INTEGER, addresses BIGINT): every value is brought to BIGINT first, so both give the
same answer. BIGINT holds every 32-bit value and every sum and shift of two; products go through HUGEINT. DuckDB
raises an error on overflow instead of wrapping, so wrap-around is written out.
"""

from __future__ import annotations

import math
import re

from .ast import And, Comparison, Const, Expression, Field, Fn, Key, NotExpressible, Sum, Value, needs_of
from .chance import chance_rate
from .keyed import keyed_form

MAX_CHARACTERS = 100_000
_WORD = "4294967295"


def to_sql(expr: Expression, table: str | None = None) -> str:
    """The condition of a WHERE clause that holds for exactly the rows that the predicate selects.

    ``table`` qualifies the column names. Raises NotExpressible for keyed expressions (see ``session_sql``) and for
    those that grow beyond 100,000 characters; ValueError for a table name that is not plain.

    >>> from andon.records.expression import parse
    >>> to_sql(parse("tcp.seq == ip.dst"))
    '(layers & 5) = 5 AND tcp_seq = dst'
    """
    return _bounded(_relation(expr, _prefix(table)))


def count_sql(expr: Expression, table: str = "packets") -> str:
    """A query that counts the matching packets of a table."""
    _prefix(table)
    return f"SELECT count(*) AS packets FROM {table} WHERE {to_sql(expr)}"


def session_sql(expr: Expression, table: str = "packets", min_bits: float = 40) -> str:
    """A query that counts sessions and their packets for a keyed expression.

    A session is one source's packets that need the same key; it counts when (n - 1) * r >= ``min_bits``, with r the
    evidence of one further packet in bits. One row: ``sessions``, ``packets``. NotExpressible without a key, or when
    a packet carries no evidence.
    """
    prefix = _prefix(table)[:0]
    form = keyed_form(expr)
    if form is None:
        raise NotExpressible("an expression without a key has no sessions; count its packets instead")
    bits = -math.log2(chance_rate(expr))
    if bits <= 0:
        raise NotExpressible(
            "a packet that fits gives no evidence: the fields compared are constant by default"
        )
    least = math.ceil(min_bits / bits) + 1
    right = _value(form.right, prefix)
    conditions = [_present(needs_of(form.comparison), prefix)] if needs_of(form.comparison) else []
    conditions += [_parenthesised(other, prefix) for other in form.others]
    beyond = form.mask & ~form.key_mask
    if beyond:
        conditions.append(f"({right} & {beyond}) = 0")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return _bounded(
        "SELECT count(*) AS sessions, CAST(coalesce(sum(n), 0) AS BIGINT) AS packets FROM ("
        f"SELECT src, ({right} & {form.key_mask}) AS session_key, count(*) AS n FROM {table}{where}"
        f" GROUP BY src, session_key HAVING count(*) >= {least})"
    )


def _prefix(table: str | None) -> str:
    if table is None:
        return ""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", table):
        raise ValueError(f"table name {table!r} is not a plain name")
    return f"{table}."


def _bounded(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise NotExpressible(f"the SQL text would have {len(text)} characters")
    return text


def _present(needs: int, prefix: str) -> str:
    return f"({prefix}layers & {needs}) = {needs}"


def _relation(node: Expression, prefix: str) -> str:
    if isinstance(node, Comparison):
        plain = all(isinstance(side, (Field, Const)) for side in (node.left, node.right))
        left, right = (
            _plain(side, prefix) if plain and isinstance(side, (Field, Const)) else _value(side, prefix)
            for side in (node.left, node.right)
        )
        text = f"{left} {'=' if node.op == '==' else '<>'} {right}"
        needs = needs_of(node)
        return f"{_present(needs, prefix)} AND {text}" if needs else text
    word = " AND " if isinstance(node, And) else " OR "
    return word.join(_parenthesised(term, prefix) for term in node.terms)


def _parenthesised(node: Expression, prefix: str) -> str:
    return f"({_relation(node, prefix)})"


def _plain(node: Field | Const, prefix: str) -> str:
    return prefix + node.info.column if isinstance(node, Field) else str(node.value)


def _value(node: Value, prefix: str) -> str:
    """A BIGINT from 0 to 2^32 - 1; parenthesised unless it is a call or a number."""
    if isinstance(node, Field):
        return f"CAST({prefix}{node.info.column} AS BIGINT)"
    if isinstance(node, Const):
        return f"CAST({node.value} AS BIGINT)"
    if isinstance(node, Key):
        raise NotExpressible(
            "the key of a session is unknown; session_sql groups packets by the key they need"
        )
    if isinstance(node, Fn):
        return _bounded(_function(node.name, node.n or 0, _value(node.argument, prefix)))
    return _bounded(_chain(node, [_value(term, prefix) for term in node.terms]))


def _chain(node: Sum, parts: list[str]) -> str:
    if node.op in ("&", "|"):
        return f"({f' {node.op} '.join(parts)})"
    if node.op in ("+", "-"):
        return f"(({f' {node.op} '.join(parts)}) & {_WORD})"
    text = parts[0]
    for term, part in zip(node.terms[1:], parts[1:], strict=True):
        if node.op == "^":
            text = f"xor({text}, {part})"
        elif node.op == "*":
            text = f"CAST((CAST({text} AS HUGEINT) * {part}) % 4294967296 AS BIGINT)"
        elif isinstance(term, Const):
            text = _shift(node.op, text, term.value)
        else:
            by = f"least({part}, 31)"
            moved = f"(({text} << {by}) & {_WORD})" if node.op == "<<" else f"({text} >> {by})"
            text = f"(CASE WHEN {part} > 31 THEN CAST(0 AS BIGINT) ELSE {moved} END)"
        _bounded(text)
    return text


def _shift(op: str, text: str, n: int) -> str:
    if n > 31:
        return f"({text} & 0)"
    if op == "<<":
        return f"(({text} & {(1 << (32 - n)) - 1}) << {n})"
    return f"({text} >> {n})"


def _function(name: str, n: int, x: str) -> str:
    if name == "lo16" or (name == "rotl16" and n == 0):
        return f"({x} & 65535)"
    if name == "hi16":
        return f"({x} >> 16)"
    if name == "bswap16":
        return f"((({x} & 255) << 8) | (({x} >> 8) & 255))"
    if name == "bswap32":
        return f"((({x} & 255) << 24) | (({x} & 65280) << 8) | (({x} >> 8) & 65280) | ({x} >> 24))"
    if n == 0:
        return x
    width = 32 if name == "rotl32" else 16
    return f"((({x} & {(1 << (width - n)) - 1}) << {n}) | (({x} & {(1 << width) - 1}) >> {width - n}))"
