"""The studies run on a few generated users, and end in a record, a picture and a page."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.utils.flop_counter import FlopCounterMode

from skdiffrec.baselines import EASERecommender

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples" / "studies"
STUDIES = sorted(path for path in FOLDER.glob("*.py") if path.name != "study.py")
TEMPLATES = ROOT / "benchmarks" / "pages" / "studies"


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_has_a_command_and_a_page(path):
    assert f"python examples/studies/{path.name}" in ast.get_docstring(ast.parse(path.read_text()))
    page = (TEMPLATES / path.with_suffix(".md").name).read_text()
    assert re.search(rf"\{{\{{ studies\.\w+ {path.stem}", page)
    assert "## Verdict" in page and f"images/study_{path.stem}.svg" in page


@pytest.mark.slow
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_runs_on_a_few_users(path, tmp_path):
    command = [sys.executable, path, "--small", "--seeds", "2"]
    command += ["--json", tmp_path / "record.json", "--plot", tmp_path / "picture.svg"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "record.json").read_text()).values()
    assert found["seeds"] == 2 and found["rows"]
    for effect in found["effects"]:
        assert effect["of"] and effect["low"] <= effect["difference"] <= effect["high"]
    assert (tmp_path / "picture.svg").stat().st_size > 5_000
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == ""  # what is there is not done again


@pytest.fixture
def import_study(monkeypatch):
    """A function that imports a script of the studies."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


def test_operations_are_counted_as_torch_counts_them(import_study):
    counted = import_study("cost").counted
    first, last = torch.nn.Linear(5, 7), torch.nn.Linear(7, 3)
    x = torch.ones(4, 5, requires_grad=True)

    def forward_and_back():
        last(first(x)).sum().backward()

    counter = FlopCounterMode(display=False)
    with counter:
        forward_and_back()
    assert counted(forward_and_back) == counter.get_total_flops() / 2 == 3 * 4 * (5 * 7 + 7 * 3)
    table, items = torch.ones(9, 6), torch.tensor([0, 8, 8, 2])
    bags = torch.nn.functional.embedding_bag
    starts = torch.tensor([0, 3])
    assert counted(lambda: bags(items, table, starts, mode="sum")) == len(items) * table.shape[1]
    out = torch.ones(4, 2)
    assert counted(lambda: out.addmm_(torch.ones(4, 3), torch.ones(3, 2))) == 4 * 3 * 2


@pytest.mark.parametrize("reg", [10.0, 300.0])
def test_ease_over_users_ranks_as_ease(import_study, interactions, reg):
    over_users = import_study("transfer").EASEOverUsers(reg).fit(interactions)
    scores = EASERecommender(reg=reg).fit(interactions).decision_function(interactions)
    np.testing.assert_allclose(over_users.decision_function(interactions), scores, atol=1e-5)


def test_thinned_rows_lie_within_each_other_and_keep_an_item_of_every_user(import_study):
    thinned = import_study("sparsity").thinned
    taken = np.random.default_rng(0).random((200, 50)) < 0.2
    taken[7] = False
    train = csr_array(taken * 1.0)
    half, tenth = thinned(train, 0.5, seed=3), thinned(train, 0.1, seed=3)
    assert (thinned(train, 1.0, seed=3) != train).nnz == 0
    for more, less in ((train, half), (half, tenth)):
        assert more.multiply(less).nnz == less.nnz < more.nnz
    for rows, share in ((half, 0.5), (tenth, 0.1)):
        assert ((np.diff(rows.indptr) > 0) == (np.diff(train.indptr) > 0)).all()
        assert share <= rows.nnz / train.nnz < share + 0.1
    assert (thinned(train, 0.5, seed=4) != half).nnz > 0


def test_ranks_of_ratings_are_places_among_all_of_them(import_study):
    ratings = csr_array(np.array([[5.0, 1.0, 0.0], [0.0, 5.0, 3.0]]))
    found = import_study("ratings").ranks(ratings).toarray()
    assert found == pytest.approx(np.array([[0.75, 0.125, 0.0], [0.0, 0.75, 0.375]]))


def test_large_catalogues_have_a_stand_in_for_ease(import_study):
    models = import_study("study").simple_models
    small, large = (csr_array(np.eye(4, n)) for n in (10, 20_000))
    assert list(models(small, 0)) == ["popularity", "EASE", "ALS"]
    assert list(models(large, 0)) == ["popularity", "neighborhood", "ALS"]
    regs = [model.reg for model in models(small, 0)["EASE"]]
    assert regs == pytest.approx([0.4 * times for times in (3, 10, 30, 100)])
