"""Machine code is made late while a density is compiled, and other users of Numba see no difference."""

import numba
import numpy as np
import pytest
from numba.core.codegen import JITCodeLibrary
from numba.core.dispatcher import _FunctionCompiler
from numba.core.registry import cpu_target

from workbench.model.late import late_machine_code


def made():
    """A function that calls another one, and one that Numba has written itself."""

    @numba.njit
    def inner(x):
        return np.cumsum(x)[-1] + 1.0

    @numba.njit
    def outer(x):
        if x.size == 0:
            raise ValueError("empty")
        return inner(x) * 2.0

    return inner, outer


def emitted(function):
    return [not getattr(result.library, "_waits", False) for result in function.overloads.values()]


def test_a_function_that_is_only_linked_has_no_machine_code_until_it_is_called():
    _, outer = made()
    made_cfunc = numba.njit(no_cpython_wrapper=True)(outer.py_func.__closure__[0].cell_contents.py_func)

    def density(x):
        return made_cfunc(numba.carray(x, (3,)))

    with late_machine_code():
        pointer = numba.types.CPointer(numba.types.double)
        compiled = numba.cfunc(numba.types.double(pointer))(density)
    x = np.array([1.0, 2.0, 4.0])
    assert compiled.ctypes(x.ctypes.data_as(compiled.ctypes.argtypes[0])) == 8.0
    assert emitted(made_cfunc) == [False]


def test_what_python_calls_gives_the_same_and_raises_the_same():
    inner, outer = made()
    x = np.arange(4.0)
    with late_machine_code():
        assert outer(x) == 14.0  # the parts of numba.np have no entry for Python, and these two functions do
    assert inner(x) == 7.0
    assert outer(x.astype(np.float32)) == 14.0  # other types, compiled as usual
    with pytest.raises(ValueError, match="empty"):
        outer(x[:0])
    again = numba.njit(lambda y: inner(y) + outer(y))  # what was compiled late is linked into what was not
    assert again(x) == 21.0


def test_objects_of_python_are_found_by_code_that_was_linked():
    # PyTensor's linear algebra asks Python for the address of a BLAS function: without its environment it cannot.
    @numba.njit(no_cpython_wrapper=True)
    def asked(x):
        with numba.objmode(found="float64"):
            found = float(np.log2(x))
        return found + 0.0

    with late_machine_code():
        compiled = numba.cfunc(numba.types.double(numba.types.double))(lambda x: asked(x) + 1.0)
    assert compiled.ctypes(8.0) == 4.0


def test_numba_is_as_before_also_after_an_error():
    codegen, customize = cpu_target.target_context.codegen(), _FunctionCompiler._customize_flags
    with pytest.raises(ZeroDivisionError), late_machine_code():
        raise ZeroDivisionError
    assert _FunctionCompiler._customize_flags is customize
    assert codegen._library_class is JITCodeLibrary
    assert "set_env" not in vars(codegen)
    assert "_library_class" not in vars(codegen)
