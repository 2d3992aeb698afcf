"""Documentation: code blocks of the pages run, in order, and no public module is forgotten.

A block that opens with ```python runs, in one namespace per page and in an empty folder. One that
opens with ```python notest, or any other language, does not; ```text NAME is the file of that name
there. So that pages can show the defaults
and stay quick here, generated data are small and fits short where a page does not say otherwise.
"""

import importlib
import os
import pkgutil
import re
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

import skdiffrec
from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("studies/*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"^```text (\S+)\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def small_world(monkeypatch, tmp_path):
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(make_interactions, "__defaults__", (120, 80))  # users, items
    for function, changes in (
        (make_interactions, {"n_interactions_per_user": 20}),
        (CFGDiffusionRecommender.__init__, {"max_epochs": 2}),
    ):
        monkeypatch.setattr(function, "__kwdefaults__", function.__kwdefaults__ | changes)
    X = make_interactions(values="time", random_state=0).train.tocoo()
    names = {"user": [f"user {u}" for u in X.row], "item": [f"item {i}" for i in X.col]}
    numbers = {"rating": np.arange(X.nnz) % 5 + 1, "timestamp": X.data}
    pd.DataFrame(names | numbers).to_csv("events.csv", index=False)


QUICK = "README", "quickstart", "users", "steering"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.slow] * (page.stem not in QUICK))
        for page in PAGES
    ],
)
def test_code_blocks_run(page, small_world):
    text = page.read_text()
    blocks = list(BLOCK.finditer(text))
    if not blocks:
        pytest.skip("no code")
    if "sklearn.callback" in text:
        pytest.importorskip("sklearn.callback", reason="from scikit-learn 1.9 on")
    for name, lines in FILE.findall(text):
        Path(name).write_text(lines)
    namespace = {"__name__": page.stem}
    for block in blocks:
        line = text[: block.start()].count("\n") + 1
        exec(compile("\n" * line + block[1], page, "exec"), namespace)


def test_blocks_are_closed():
    """Or the rest of the page would be code."""
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(), re.M)
        assert len(fences) % 2 == 0 and not any(fences[1::2]), page


def test_every_public_module_has_api_pages():
    listed = re.search(r"```\{eval-rst\}(.*?)```", (ROOT / "docs/api.md").read_text(), re.S)[1]
    names = ["skdiffrec"] + [
        f"skdiffrec.{module.name}"
        for module in pkgutil.iter_modules(skdiffrec.__path__)
        if not module.name.startswith("_")
    ]
    assert listed.split()[-len(names) :] == sorted(names)
    assert all(importlib.import_module(name).__all__ for name in names)


def test_links_lead_somewhere():
    """Also on a code host, where pages are read as they are."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert os.path.exists(page.parent / target), (page.name, target)
