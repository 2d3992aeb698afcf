"""What a type checker and a package manager are told is complete, and agrees with the code."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import skdiffrec

ROOT = Path(__file__).parent.parent
MODULES = ["skdiffrec"] + [
    f"skdiffrec.{module.name}"
    for module in pkgutil.iter_modules(skdiffrec.__path__)
    if not module.name.startswith("_")
]
CALLED = ("__init__", "__call__")


def public_names():
    """(module, name, object) of everything in an ``__all__``."""
    for name in MODULES:
        module = importlib.import_module(name)
        for public in module.__all__:
            yield name, public, getattr(module, public)


def functions():
    """{dotted name: function} of all public functions, methods and properties of this package."""
    found = {}
    for module, name, thing in public_names():
        if inspect.isfunction(thing):
            found[f"{module}.{name}"] = thing
        elif inspect.isclass(thing) and not hasattr(thing, "_fields"):  # NamedTuples tell anyway
            found |= {
                f"{module}.{name}.{method}": function
                for method, function in methods(thing)
                if not method.startswith("_") or method in CALLED
            }
    return found


def methods(cls):
    """(name, function) of what the package itself defines in a class and the classes above it."""
    for owner in cls.__mro__:
        if owner.__module__.partition(".")[0] == "skdiffrec":
            for name, value in vars(owner).items():
                value = getattr(value, "fget", None) or getattr(value, "__func__", value)
                value = getattr(value, "fn", value)  # inside `available_if`
                if inspect.isfunction(value):
                    yield name, value


FUNCTIONS = functions()


def test_all_are_looked_at():
    assert {
        "skdiffrec.CFGDiffusionRecommender.__init__",
        "skdiffrec.CFGDiffusionRecommender.paper",
        "skdiffrec.CFGDiffusionRecommender.recommend_scales",
        "skdiffrec.base.BaseRecommender.score",
        "skdiffrec.metrics.auc",
        "skdiffrec.model_selection.GuidanceScaleCV.recommend",
        "skdiffrec.model_selection.RankingScorer.__call__",
        "skdiffrec.plotting.GuidanceCurveDisplay.best_scale",
    } <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_annotations_are_complete(name):
    signature = inspect.signature(FUNCTIONS[name], follow_wrapped=True)
    without = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")
    ]
    assert not without
    assert signature.return_annotation is not signature.empty


@pytest.mark.parametrize("module", MODULES)
def test_modules_say_what_is_public(module):
    assert importlib.import_module(module).__all__


def test_annotations_come_with_the_package():
    assert (Path(skdiffrec.__file__).parent / "py.typed").is_file()


@pytest.mark.slow  # -OO compiles torch anew
def test_python_without_docstrings():
    subprocess.run([sys.executable, "-OO", "-W", "ignore", "-c", "import skdiffrec"], check=True)


class TestBounds:
    """The oldest versions that are tested are those that are promised."""

    @pytest.fixture
    def project(self):
        path = ROOT / "pyproject.toml"
        if not path.is_file():
            pytest.skip("not a checkout")
        return tomllib.loads(path.read_text())["project"]

    @staticmethod
    def pins(name):
        lines = (ROOT / name).read_text().splitlines()
        return dict(line.split("==") for line in lines if line and not line.startswith("#"))

    def promised(self, project):
        extras = project["optional-dependencies"]
        asked = [*project["dependencies"], *extras["test"]]
        for extra in re.search(r"skdiffrec\[(.*)\]", extras["test"][0])[1].split(","):
            asked += extras[extra]
        return dict(each.split(">=") for each in asked if not each.startswith("skdiffrec"))

    def test_oldest(self, project):
        assert self.pins("constraints-oldest.txt") == self.promised(project)

    def test_all_are_pinned(self, project):
        pinned = {name.lower().replace("_", "-") for name in self.pins("constraints.txt")}
        for extra in project["optional-dependencies"].values():
            names = {each.partition(">=")[0].lower() for each in extra if "[" not in each}
            assert names <= pinned
        assert {each.partition(">=")[0] for each in project["dependencies"]} <= pinned
