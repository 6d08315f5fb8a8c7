"""Fused expressions written out as one function give what PyTensor's own functions give."""

import re

import numpy as np
import pytensor
import pytensor.link.numba.cache as cache
import pytensor.scalar.basic as ps
import pytensor.tensor as pt
import pytest
from pytensor.scalar.math import gammaln

from workbench.model.dispatch import plain_functions
from workbench.model.scalars import written_out

pytestmark = pytest.mark.usefixtures("late")

POINTS = [-745.0, -40.0, -1.5, -1e-9, 0.0, 0.3, 1.0, 2.5, 36.0, 700.0]
X, N, B = pt.vector("x"), pt.lvector("n"), pt.vector("b", dtype="bool")
FORMS = {
    "arithmetic": (X - 2.0) * X + X / (N + 3) - (-X) * N,
    "division by zero": 1.0 / (X - X) + X,
    "reciprocal": pt.reciprocal(X) * pt.sqr(X) + 1.0,
    "exponentials": pt.exp(-pt.abs(X)) + pt.log1p(pt.sqr(X)) - pt.expm1(-pt.abs(X)) * 0.3,
    "roots and logs": pt.sqrt(X) + pt.log(X) * 2.0,
    "switches": pt.switch(pt.and_(X > 0.0, pt.or_(B, N <= 2)), X * 2.0, pt.switch(pt.eq(N, 2), N, X)),
    "comparisons": pt.switch(pt.neq(X, 1.0), X, 9.0) + pt.switch(X >= 0.3, 1.0, X) + pt.lt(X, N) * X,
    "sigmoid and softplus": pt.sigmoid(X) * pt.softplus(-X) + pt.log1mexp(-pt.abs(X) - 0.1),
    "special functions": pt.gammaln(pt.sqr(X) + 1.0) - X * pt.erf(X),
    "integers": (N * N - N) * X + pt.cast(N, "float64") / 2.0 + (N + N) // 3,
    "narrow numbers": pt.cast(X, "float32") * np.float32(0.5) + X * np.float32(0.1),
    "narrow integers": pt.cast(N, "int8") * pt.cast(N, "int8") * X,
    "powers": pt.sqr(X) ** 0.75 + pt.maximum(X, 0.5) * pt.minimum(X, N),
}


def function(form):
    return pytensor.function([X, N, B], FORMS[form], mode="NUMBA", on_unused_input="ignore")


@pytest.mark.parametrize("form", FORMS)
def test_written_out_expressions_agree_with_pytensor(form):
    arguments = np.array(POINTS), np.arange(len(POINTS)) + 100, np.arange(len(POINTS)) % 2 == 0
    with plain_functions():
        ours = function(form)
    with np.errstate(all="ignore"):
        expected, found = function(form)(*arguments), ours(*arguments)
    assert found.dtype == expected.dtype
    assert found == pytest.approx(expected, rel=1e-13, abs=1e-300, nan_ok=True)


def test_different_constants_have_different_keys():
    def key(constant):
        x = ps.float64("x")
        return written_out(ps.Composite([x], [ps.exp(x) * ps.constant(constant) + x]))[1]

    assert key(2.0) == key(2.0)
    assert len({key(2.0), key(3.0), key(np.nextafter(2.0, 3.0))}) == 3


def test_what_one_branch_of_a_switch_needs_is_computed_there(monkeypatch):
    compiled, sources = cache.compile_numba_function_src, []
    monkeypatch.setattr(cache, "compile_numba_function_src", lambda *a: sources.append(a[0]) or compiled(*a))
    c, x, y = ps.bool("c"), ps.float64("x"), ps.float64("y")
    shared = ps.exp(y)
    written_out(ps.Composite([c, x, y], [ps.switch(c, ps.log(x * 2.0), shared) + shared]))
    lines = [line.strip() for line in sources[-1].splitlines()]
    assert not any(line.split(" = ")[-1].startswith("np.log(") for line in lines)  # only inside the branch
    assert any("np.log(" in line and " if " in line for line in lines)
    assert any(line.endswith("= np.exp(x2_)") for line in lines)  # needed twice: computed once, before


def test_softplus_keeps_its_digits_far_on_either_side():
    with plain_functions():
        ours = pytensor.function([X], pt.softplus(X) * 1.0 + 0.0 * X, mode="NUMBA")
    x = np.array([-744.0, -50.0, -36.0, -20.0, -1.0, 0.0, 1.0, 20.0, 40.0, 800.0])
    assert ours(x) == pytest.approx(np.logaddexp(0.0, x), rel=1e-15, abs=1e-320)


def test_no_name_ends_in_a_digit(monkeypatch):
    # Numba appends bytecode offsets to names: x2 at 166 and x21 at 66 were one variable to it, which then had no type.
    compiled, sources = cache.compile_numba_function_src, []
    monkeypatch.setattr(cache, "compile_numba_function_src", lambda *a: sources.append(a[0]) or compiled(*a))
    x, y = ps.float64("x"), ps.float64("y")
    written_out(ps.Composite([x, y], [ps.exp(x) * ps.constant(2.5) + gammaln(y)]))
    names = set(re.findall(r"\b[xtcf]\d\w*", sources[-1]))
    assert len(names) >= 6
    assert not [name for name in names if name[-1].isdigit()]
