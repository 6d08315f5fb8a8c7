"""The code has the shape that its design promises: layers, sizes, names, read from the source without running it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workbench"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES}

# Lower rows first; a module imports from its own row or from lower ones.
LAYERS = (
    ("errors", "check", "settings", "probability", "result"),
    ("numerics",),
    ("model",),
    ("prior", "likelihood"),
    ("posterior",),
    ("evidence",),
    (
        "causes",
        "comparison",
        "models_compared",
        "information",
        "prediction",
        "baseline",
        "leave_one_out",
        "outcomes",
        "diagnosis",
        "refits",
        "calibration",
        "point",
        "terms_at_draws",
    ),
    ("study", "views", "evidence_view", "intervals"),
    ("runs", "plots", "report"),
    ("terminal", "options", "cli", "__main__"),
)
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}

# `study.save()` and `study.report()` hand the finished study to the layer above; nothing there imports the study.
HANDED_UP = {("workbench.study", "workbench.runs"), ("workbench.study", "workbench.report.page")}

HEAVY = ("pymc", "pytensor", "nutpie", "numba")
MAY_BE_HEAVY = (
    "workbench.model",
    "workbench.prior.draws",
    "workbench.posterior.draws",
    "workbench.posterior.predictive",
)
MODULE_LINES, FUNCTION_LINES = 400, 60

FORBIDDEN_MODULES = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
# The right-hand column of the table of words; the left-hand column is what to write instead.
FORBIDDEN_WORDS = {
    "params": "theta",
    "logp": "log_prior, log_likelihood or log_target",
    "lnprob": "log_target",
    "nll": "log_likelihood",
    "loglik": "log_likelihood",
    "loglikelihood": "log_likelihood",
    "unnormalised_log_posterior": "log_joint",
    "logml": "log_evidence",
    "logz": "log_evidence",
    "marginal_likelihood": "log_evidence",
    "hessian_inv": "covariance",
    "vcov": "covariance",
    "idata": "draws",
    "inference_data": "draws",
    "trace": "draws",
    "best_fit": "mode",
    "optimum": "mode",
    "random_effect": "latent",
    "nuisance": "latent",
}
# Names that belong to somebody else's interface and cannot be chosen here.
EXCEPTIONS = {
    ("workbench.model.nuts", "trace"),  # nutpie's own word for its raw result
}


@cache
def tree(path):
    """The syntax of a file, read once; not to be changed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path, everywhere=True):
    """Full names of the modules that a file imports, in functions too; not those for the type checker alone."""
    found = set()
    todo = [tree(path)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo.extend(node.orelse)
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not everywhere:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        todo.extend(ast.iter_child_nodes(node))
    return found


def own_imports(path, everywhere=True):
    """Modules of the package that a file imports, by their full name."""
    known = set(NAMES.values())
    found = set()
    for name in imports(path, everywhere):
        while name and name not in known:
            name = name.rpartition(".")[0]
        if name and name != NAMES[path]:
            found.add(name)
    return found


def row(module):
    """The layer of a module; the package itself stands above all, because it only names what is below."""
    parts = module.split(".")
    return ROW[parts[1]] if len(parts) > 1 else len(LAYERS)


def test_every_module_has_a_layer():
    unknown = {name for name in NAMES.values() if name.count(".") and name.split(".")[1] not in ROW}
    assert not unknown


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_a_module_imports_only_from_its_own_layer_and_below(path):
    module = NAMES[path]
    if module == "workbench":
        return
    upwards = {other for other in own_imports(path) if other != "workbench" and row(other) > row(module)}
    assert not {other for other in upwards if (module, other) not in HANDED_UP}
    at_import = own_imports(path, everywhere=False)
    assert not {other for other in upwards if other in at_import}


def test_the_check_of_layers_finds_an_import_that_points_upwards(tmp_path, monkeypatch):
    bad = tmp_path / "workbench" / "numerics" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("def f():\n    from workbench.posterior.draws import draw_posterior\n    return draw_posterior\n")
    monkeypatch.setitem(NAMES, bad, "workbench.numerics.bad")
    assert {other for other in own_imports(bad) if row(other) > row("workbench.numerics.bad")} == {
        "workbench.posterior.draws"
    }


def test_no_modules_import_each_other_in_a_circle():
    # Imports inside functions count too: a circle through one is a circle of ideas.
    graph = {NAMES[path]: own_imports(path) - {"workbench"} for path in FILES if NAMES[path] != "workbench"}
    while graph:
        leaves = {name for name, needs in graph.items() if not needs & set(graph)}
        assert leaves, f"a circle among {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in leaves}


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_pymc_and_its_engines_are_imported_only_where_a_model_is_touched(path):
    module = NAMES[path]
    heavy = {name for name in imports(path) if name.split(".")[0] in HEAVY}
    allowed = any(module == place or module.startswith(f"{place}.") for place in MAY_BE_HEAVY)
    assert allowed or not heavy


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_a_module_has_at_most_four_hundred_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


def body_lines(function):
    """Lines of a function without its docstring, which is there to be long."""
    total = function.end_lineno - function.lineno + 1
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    return total - (docstring.end_lineno - docstring.lineno + 1 if docstring else 0)


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_a_function_has_at_most_sixty_lines(path):
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not {f.name: body_lines(f) for f in functions if body_lines(f) > FUNCTION_LINES}


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_file_and_folder_names_are_nouns_of_the_field(path):
    parts = {part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts}
    assert not parts & FORBIDDEN_MODULES
    assert not any(part.endswith(("_utils", "_helper", "_helpers", "_tools")) for part in parts)


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_no_function_has_the_name_of_its_module(path):
    functions = {n.name for n in tree(path).body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    assert path.stem not in functions


def chosen_names(path):
    """Names that the code chooses itself: definitions, arguments, assigned variables and attributes."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def forbidden(module, names):
    """The words of the table that stand in these names, as a whole or between underscores."""
    found = set()
    for name in set(names):
        for word in FORBIDDEN_WORDS:
            hit = re.search(rf"(^|_){word}(_|$)", name.lower())
            if hit and (module, name) not in EXCEPTIONS:
                found.add(f"{name}: say {FORBIDDEN_WORDS[word]}")
    return found


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_one_word_stands_for_one_idea(path):
    assert not forbidden(NAMES[path], chosen_names(path))


def test_the_check_of_words_finds_a_forbidden_one_and_lets_others_be():
    assert forbidden("m", ["find_logz", "vcov", "idata"])
    assert not forbidden("m", ["log_prior", "tracer", "logzero", "retrace"])


def test_every_exception_to_the_words_is_still_needed():
    used = {(NAMES[path], name) for path in FILES for name in chosen_names(path)}
    assert used >= EXCEPTIONS


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.py")), ids=lambda path: path.stem)
def test_a_model_file_knows_nothing_of_the_package(path):
    assert not {name for name in imports(path) if name.split(".")[0] == "workbench"}


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_every_module_public_class_and_public_function_says_what_it_is(path):
    module = tree(path)
    public = [
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    assert ast.get_docstring(module)
    assert not [node.name for node in public if not ast.get_docstring(node)]


def raised(function):
    """Names of the package's own errors that a function raises itself."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            found.add(node.exc.func.id)
    return found


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_every_error_that_a_public_function_raises_is_documented(path):
    missing = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            section = (ast.get_docstring(node) or "").partition("Raises\n")[2]
            absent = {name for name in raised(node) if name not in section}
            if absent:
                missing[node.name] = absent
    assert not missing
