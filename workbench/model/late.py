"""Machine code for what is called, and for nothing else, while Numba compiles a density.

A density is one C function that calls a hundred others: an operation each, and Numba's own parts of them. Numba links
these into it and optimises the whole, which is what runs. Before that it has optimised each of them on its own and made
machine code of it, with an entry for Python, although nothing but the density will ever call it: a quarter of the
compile time and more.

Here a library of functions stays intermediate code, prepared for linking, until an address in it is asked for. That
holds also afterwards, for other users of Numba in this process, who see no difference.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any

_ENVIRONMENT = "_ZN08NumbaEnv"  # begins the name of what holds the Python objects that compiled code refers to
_PARTS = ("numba.np.", "numba.cpython.")  # of which no function is called from Python


@cache
def _late_library() -> type:
    """Numba's class of libraries, with machine code made when it is needed; Numba is slow to import."""
    from numba.core.codegen import JITCodeLibrary
    from numba.core.environment import lookup_environment

    class LateLibrary(JITCodeLibrary):
        _waits = False
        _compiled_object: Any = None

        def _optimize_final_module(self) -> None:
            """What Numba does first, and all that linking needs; the rest is for `_emit`, or for what it is part of."""
            passes, builder = self._codegen._module_pass_manager(
                loop_vectorize=self._codegen._loopvect, slp_vectorize=False, opt=self._codegen._opt_level, cost="cheap"
            )
            passes.run(self._final_module, builder)

        def _finalize_final_module(self) -> None:
            if self._compiled_object is not None:  # from the disk, where it is machine code already
                super()._finalize_final_module()
                return
            self._waits = True
            self._codegen._add_module = lambda _module: None
            try:
                super()._finalize_final_module()
            finally:
                del self._codegen._add_module

        def _finalize_specific(self) -> None:
            if not self._waits:
                super()._finalize_specific()

        def _emit(self) -> None:
            """Make the machine code, and tell it where its Python objects are."""
            if not self._waits:
                return
            self._waits = False
            super()._optimize_final_module()
            self._codegen._add_module(self._final_module)
            self._finalize_specific()
            for variable in self._final_module.global_variables:
                name = variable.name
                found = lookup_environment(name) if name.startswith(_ENVIRONMENT) else None
                if found is not None:
                    self._codegen.set_env(name, found)

        def get_pointer_to_function(self, name: str) -> int:
            self._ensure_finalized()
            if self._waits:
                try:
                    self._final_module.get_function(name)
                except NameError:
                    return 0  # as from a library that has machine code, but no such function
                self._emit()
            return int(super().get_pointer_to_function(name))

        def serialize_using_object_code(self) -> Any:
            self._ensure_finalized()
            self._emit()
            return super().serialize_using_object_code()

    return LateLibrary


@contextlib.contextmanager
def late_machine_code() -> Iterator[None]:
    """While this lasts, Numba makes machine code only of functions whose address is asked for."""
    from numba.core import dispatcher
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    codegen, compiler = cpu_target.target_context.codegen(), vars(dispatcher)["_FunctionCompiler"]
    set_environment, customize = codegen.set_env, compiler._customize_flags

    def set_where_it_is(name: str, environment: Any) -> None:
        if codegen._engine.is_symbol_defined(name):
            set_environment(name, environment)

    def without_entry(self: Any, flags: Any) -> Any:
        flags = customize(self, flags)
        if (self.py_func.__module__ or "").startswith(_PARTS):
            flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        return flags

    with global_compiler_lock:
        codegen._library_class, codegen.set_env = _late_library(), set_where_it_is
        compiler._customize_flags = without_entry
        try:
            yield
        finally:
            compiler._customize_flags = customize
            del codegen._library_class, codegen.set_env
