"""The language of header relations: parse, canonicalise, evaluate, translate. See ``docs/expressions.md``."""

from .ast import And, Comparison, Const, Expression, ExpressionError, Field, Fn, Key, NotExpressible, Or, Sum
from .bpf import to_bpf
from .canonical import canonical
from .chance import chance_rate
from .equality import equal_on
from .evaluate import evaluate, evaluate_many, session_key
from .parse import parse
from .program import Bundle, Program, compile_bundle, compile_program
from .solve import Assignment, NotSolvable, apply, solve
from .sql import count_sql, session_sql, to_sql
from .suricata import to_suricata
from .translations import translations
from .zeek import to_zeek

__all__ = [
    "And",
    "Assignment",
    "Bundle",
    "Comparison",
    "Const",
    "Expression",
    "ExpressionError",
    "Field",
    "Fn",
    "Key",
    "NotExpressible",
    "NotSolvable",
    "Or",
    "Program",
    "Sum",
    "apply",
    "canonical",
    "chance_rate",
    "compile_bundle",
    "compile_program",
    "count_sql",
    "equal_on",
    "evaluate",
    "evaluate_many",
    "parse",
    "session_key",
    "session_sql",
    "solve",
    "to_bpf",
    "to_sql",
    "to_suricata",
    "to_zeek",
    "translations",
]
