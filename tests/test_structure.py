"""How large the package's parts may grow, and how deep a question to a model goes."""

import ast
import inspect
import sys
from pathlib import Path

import pytest
from conftest import tiny_cfg

import skdiffrec
from skdiffrec import CFGDiffusionRecommender

PACKAGE = Path(skdiffrec.__file__).parent
TESTS = Path(__file__).parent
MAX_LINES, MAX_FUNCTION, MAX_ROOT, MAX_PARAMETERS, MAX_CROSSED = 400, 50, 8, 35, 8


def n_lines(path):
    return len(path.read_text().splitlines())


def long_functions(source, most):
    """{name: lines} of functions whose statements, without the docstring, take more lines."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if length > most:
                found[node.name] = length
    return found


class TestSizes:
    def test_reader_of_functions(self):
        source = 'def f(\n    a,\n    b,\n):\n    """1\n    2"""\n    a = 1\n\n    return a\n'
        assert long_functions(source, 2) == {"f": 3}
        assert not long_functions(source, 3)
        assert not long_functions('def f():\n    """Nothing."""', 0)

    def test_few_modules_in_the_root(self):
        assert len(list(PACKAGE.glob("*.py"))) <= MAX_ROOT

    @pytest.mark.parametrize("folder", [PACKAGE, TESTS], ids=["package", "tests"])
    def test_no_long_file(self, folder):
        paths = list(folder.rglob("*.py"))
        assert len(paths) > 50
        lengths = {str(path.relative_to(folder)): n_lines(path) for path in paths}
        assert not {name: length for name, length in lengths.items() if length > MAX_LINES}

    def test_no_long_function(self):
        found = {
            str(path.relative_to(PACKAGE)): long_functions(path.read_text(), MAX_FUNCTION)
            for path in PACKAGE.rglob("*.py")
        }
        assert not {name: functions for name, functions in found.items() if functions}

    def test_few_parameters(self):
        parameters = inspect.signature(CFGDiffusionRecommender).parameters
        assert len(parameters) <= MAX_PARAMETERS


def files_crossed(call):
    """Files of the package in which a function is called, relative to it."""
    files = set()

    def note(frame, event, arg):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            files.add(str(path.relative_to(PACKAGE)))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return files


def test_one_users_list_crosses_few_files(interactions):
    """What is made of a model's weights is made by the first call, and a list needs no more."""
    model = CFGDiffusionRecommender(max_epochs=1, random_state=0, device="cpu").fit(interactions)
    first = files_crossed(lambda: model.recommend(5))
    second = files_crossed(lambda: model.recommend(5))
    assert {"_fitted/lists.py", "_inference/model.py", "_network/denoiser.py"} <= second <= first
    assert len(second) <= MAX_CROSSED, sorted(second)


def test_parameters_are_checked_once(interactions):
    """Not at every call, but again after one is set."""
    model = tiny_cfg(max_epochs=1).fit(interactions)
    model.recommend(5)
    assert "_parameters.py" not in files_crossed(lambda: model.recommend(5))
    model.set_params(eta=0.5)
    assert "_parameters.py" in files_crossed(lambda: model.recommend(5))
