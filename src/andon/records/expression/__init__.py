"""The language of header relations: parse, canonicalise, evaluate, translate. See ``docs/expressions.md``."""

from .ast import And, Comparison, Const, Expression, ExpressionError, Field, Fn, Key, NotExpressible, Or, Sum
from .bpf import to_bpf
from .canonical import canonical
from .evaluate import evaluate, evaluate_many
from .parse import parse
from .program import Bundle, Program, compile_bundle, compile_program

__all__ = [
    "And",
    "Bundle",
    "Comparison",
    "Const",
    "Expression",
    "ExpressionError",
    "Field",
    "Fn",
    "Key",
    "NotExpressible",
    "Or",
    "Program",
    "Sum",
    "canonical",
    "compile_bundle",
    "compile_program",
    "evaluate",
    "evaluate_many",
    "parse",
    "to_bpf",
]
