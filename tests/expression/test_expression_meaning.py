"""The machine, the printer and the canonical form agree with what an expression means."""

from __future__ import annotations

import numpy as np
from expression_reference import constants, expressions, fields, holds, random_columns, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.records.expression import (
    canonical,
    compile_program,
    evaluate,
    parse,
)

COLUMNS = random_columns(np.random.default_rng(20), 60)
ROWS = rows_of(COLUMNS)


def truth(expr):
    return [holds(expr, row) for row in ROWS]


@settings(max_examples=300, deadline=None)
@given(expressions(st.one_of(fields, fields, constants)))
def test_machine_computes_what_the_expression_means(expr):
    assert evaluate(compile_program(expr), COLUMNS).tolist() == truth(expr)


@settings(max_examples=300, deadline=None)
@given(expressions(st.one_of(fields, constants)))
def test_printed_text_parses_back_to_the_same_tree_up_to_flattening(expr):
    assert str(parse(str(expr))) == str(expr)
    assert evaluate(compile_program(parse(str(expr))), COLUMNS).tolist() == truth(expr)


@settings(max_examples=600, deadline=None)
@given(expressions(st.one_of(fields, fields, fields, constants)))
def test_canonical_form_holds_for_the_same_packets(expr):
    made = canonical(expr)
    assert truth(made) == truth(expr), str(made)


@settings(max_examples=400, deadline=None)
@given(expressions(st.one_of(fields, fields, constants)))
def test_canonical_form_is_a_fixed_point_and_survives_printing(expr):
    made = canonical(expr)
    assert canonical(made) == made
    assert parse(str(made)) == made
