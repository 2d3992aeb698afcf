"""Sessions: `nox` runs all of them but `oldest`, `nox -s NAME` one, `nox -l` lists them.

`nox --no-venv --no-install -s lint types` runs in the environment that is active already.
"""

import os
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "tests", "docs", "package"]
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PINNED = f"--constraint={ROOT / 'constraints.txt'}"
OLDEST = f"--constraint={ROOT / 'constraints-oldest.txt'}"
HEADLESS = {"MPLBACKEND": "agg"}


@nox.session
def lint(session):
    """All hooks of pre-commit: ruff, spelling, whitespace, YAML, TOML."""
    session.install(PINNED, "codespell", "pre-commit", "pre-commit-hooks", "ruff")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure")


@nox.session
def types(session):
    """mypy: the package, and a file that uses it as a user does."""
    session.install(PINNED, "-e", ".[test]")
    session.run("mypy")


@nox.session(python=PYTHONS)
def tests(session):
    """pytest with the pinned versions, on every Python there is; arguments after -- go to it."""
    session.install(PINNED, "-e", ".[test]")
    session.run("pytest", "-q", *session.posargs, env=HEADLESS)


@nox.session(python="3.11")
def oldest(session):
    """pytest with the oldest versions that are supported: 5 GB, old torch coming with CUDA."""
    session.install(OLDEST, "-e", ".[test]")
    session.run("pytest", "-q", *session.posargs, env=HEADLESS)


@nox.session
def docs(session):
    """Sphinx, where a warning is an error."""
    session.install(PINNED, "-e", ".[docs]")
    command = "python -m sphinx -W --keep-going -b html docs docs/_build/html"
    session.run(*command.split(), env=HEADLESS)


@nox.session
def package(session):
    """Build, check, and run the quickstart with the wheel where there is nothing else."""
    session.install(PINNED, "build", "twine")
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", f"--outdir={folder}", ".")
        built = sorted(map(str, Path(folder).iterdir()))
        session.run("twine", "check", "--strict", *built)
        for path in built:
            session.log(f"{os.path.basename(path)}: {os.path.getsize(path) / 1000:.0f} kB")
        empty = Path(folder, "empty")
        session.run("python", "-m", "venv", str(empty))
        python = str(empty / ("Scripts" if os.name == "nt" else "bin") / "python")
        (wheel,) = (path for path in built if path.endswith(".whl"))
        install = (python, "-m", "pip", "install", "--quiet", PINNED)
        session.run(*install, wheel, external=True)
        session.run(python, "-m", "pip", "check", external=True)
        with session.chdir(folder):  # the checkout must not be what is imported
            session.run(python, "-c", FIRST_LISTS, external=True)
            session.run(*install, f"{wheel}[benchmark]", external=True)
            session.run(python, str(ROOT / "examples/quickstart.py"), external=True)


FIRST_LISTS = """
from pathlib import Path
import skdiffrec
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k

folder = Path(skdiffrec.__file__).parent
assert "site-packages" in folder.parts, folder
assert (folder / "py.typed").is_file()
data = make_interactions(random_state=0)
model = skdiffrec.CFGDiffusionRecommender(max_epochs=2, random_state=0).fit(data.train)
print(skdiffrec.__version__, ndcg_at_k(model.recommend(k=10)[0], data.test))
"""
