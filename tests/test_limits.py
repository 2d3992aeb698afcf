"""What cannot be is refused before memory is asked for or compiled code reads it."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._inference import reverse_process
from skdiffrec._utils.canonical import refuse_contradictions
from skdiffrec.baselines import EASERecommender, ItemKNNRecommender, PopularityRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.model_selection import LastFraction
from skdiffrec.preprocessing import recency_weights

X = make_interactions(40, 30, n_interactions_per_user=6, random_state=0).train


@pytest.fixture(scope="module")
def model():
    return tiny_cfg(max_epochs=1).fit(X)


class TestMemory:
    @pytest.mark.parametrize("k", [10**12, 2**63, 2**70])
    def test_long_lists(self, model, k):
        for ask in (
            model.recommend,
            EASERecommender().fit(X).recommend,
            lambda k: model.similar_items([0], k=k),
            lambda k: model.recommend_scales([0.0, 1.0], k=k),
        ):
            with pytest.raises(ValueError, match=f"k={k:,} items would take .* GB, but there are"):
                ask(k=k)

    @pytest.mark.parametrize(
        "parameters",
        [{"hidden_dims": (10**9,)}, {"hidden_dims": (10**6, 10**6)}, {"n_timesteps": 10**12}],
        ids=str,
    )
    def test_large_networks(self, parameters):
        with pytest.raises(ValueError, match=f"{next(iter(parameters))}|would take"):
            CFGDiffusionRecommender(**parameters).fit(X)

    @pytest.mark.parametrize("kind", [tiny_cfg, EASERecommender], ids=["cfg", "ease"])
    @pytest.mark.parametrize("n_items", [2**30, 2**41])
    def test_items_with_numbers_far_apart(self, kind, n_items):
        wide = sp.csr_array((np.ones(2), ([0, 1], [0, n_items - 1])), shape=(2, n_items))
        with pytest.raises(ValueError, match="items would take .*Number the items without gaps"):
            kind().fit(wide)

    def test_many_draws_at_once(self, model):
        with pytest.raises(ValueError, match="n_samples=1,000,000,000,000 draws.*sample_summary"):
            model.sample(X, 10**12)

    def test_dense_integers_are_not_copied_as_floats(self):
        dense = (np.random.default_rng(0).random((1000, 2000)) < 0.01).astype(np.int64)
        tracemalloc.start()
        PopularityRecommender().fit(dense)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < dense.nbytes / 3

    def test_draws_are_averaged_as_they_come(self, monkeypatch):
        """However many there are, two estimates are held."""
        model = tiny_cfg(max_epochs=1, temperature=1.0, eta=1.0, n_sampling_steps=2).fit(X)
        held, alive = [], [0]

        class Counted(tuple):
            __slots__ = ()

            def __new__(cls, parts):
                alive[0] += 1
                held.append(alive[0])
                return super().__new__(cls, parts)

            def __del__(self):
                alive[0] -= 1

        copied = reverse_process.copied
        monkeypatch.setattr(reverse_process, "copied", lambda parts: Counted(copied(parts)))
        for n_draws in (2, 40):
            held.clear()
            model.set_params(n_draws=n_draws).decision_function(X[:4])
            assert max(held) <= 3

    def test_the_mean_of_draws(self):
        draws = [tuple(torch.randn(2, 3, 4).unbind()) for _ in range(5)]
        for found, several in zip(
            reverse_process.mean_of_draws(iter(draws)), zip(*draws, strict=True), strict=True
        ):
            torch.testing.assert_close(found, torch.stack(several).mean(0))
        both = reverse_process.mean_of_several([[draw, draw] for draw in draws])
        torch.testing.assert_close(both, [reverse_process.mean_of_draws(draws)] * 2)

    def test_the_last_stage_is_the_mean(self):
        model = tiny_cfg(max_epochs=1, temperature=1.0, eta=1.0, n_sampling_steps=2).fit(X)
        mean = model.set_params(n_draws=6).decision_function(X[:5])
        *_, last = model.staged_decision_function(X[:5])
        np.testing.assert_allclose(last, mean, rtol=1e-4, atol=1e-4)


def damaged(kind):
    """A copy of X in which one part contradicts another."""
    bad = {"csc": sp.csc_array, "coo": sp.coo_array}.get(kind[:3], sp.csr_array)(X.copy())
    if kind == "coo":
        bad.coords[1][3] = 10**6
    elif kind in ("csr beyond", "csc beyond"):
        bad.indices[3] = 10**6
    elif kind == "csr negative":
        bad.indices[3] = -5
    elif kind == "csr falling":
        bad.indptr[3], bad.indptr[4] = bad.indptr[4] + 3, bad.indptr[3]
    elif kind == "csr too long":
        bad.indptr[-1] = 10**6
    elif kind == "csr short":
        bad.data = bad.data[:-5]
    return bad


DAMAGES = (
    "coo",
    "csr beyond",
    "csc beyond",
    "csr negative",
    "csr falling",
    "csr too long",
    "csr short",
)


@pytest.mark.parametrize("kind", DAMAGES)
def test_parts_that_contradict_each_other(model, kind):
    bad = damaged(kind)
    questions = {
        "X": [
            lambda: tiny_cfg().fit(bad),
            lambda: ItemKNNRecommender().fit(bad),
            lambda: model.recommend(X=bad),
            lambda: model.decision_function(bad),
            lambda: model.partial_fit(bad),
            lambda: LastFraction(0.2).hide(bad),
        ],
        "y": [lambda: model.score(X, bad)],
        "filter_items": [lambda: model.recommend(filter_items=bad)],
        "items": [lambda: model.recommend(items=bad)],
        "user_features": [lambda: tiny_cfg().fit(X, user_features=bad)],
        "item_features": [lambda: tiny_cfg(item_features=bad).fit(np.ones((2, 40)))],
        "holdout": [lambda: ndcg_at_k(model.recommend(k=3)[0], bad)],
        "times": [lambda: recency_weights(bad)],
    }
    for name, asked in questions.items():
        for ask in asked:
            with pytest.raises(ValueError, match=f"{name} is a sparse matrix .*contradict"):
                ask()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_scipy_holds_valid_is_valid(data):
    """Small random parts: what passes has the entries that SciPy's own full check allows."""
    n_rows, n_columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    n = data.draw(st.integers(0, 6))
    numbers = st.integers(-1, 6)
    indptr = data.draw(st.lists(numbers, min_size=n_rows + 1, max_size=n_rows + 1))
    indices = data.draw(st.lists(numbers, min_size=n, max_size=n))
    X = sp.csr_array((n_rows, n_columns))
    X.data, X.indices, X.indptr = (
        np.ones(n),
        np.array(indices, np.int32),
        np.array(indptr, np.int32),
    )
    try:
        refuse_contradictions("X", X)
    except ValueError:
        valid = indptr[0] == 0 and (np.diff(indptr) >= 0).all() and indptr[-1] <= n
        assert not valid or not all(0 <= i < n_columns for i in indices[: indptr[-1]])
    else:
        X.check_format(full_check=True)
