"""Entries that are missing: every entry point says what to do, and nothing counts them."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg

from skdiffrec.baselines import EASERecommender
from skdiffrec.metrics import ndcg_at_k, ranking_report
from skdiffrec.model_selection import LastN, RankingScorer, TimeCut, UnseenUsers
from skdiffrec.preprocessing import recency_weights

rng = np.random.default_rng(0)
FILLED = np.where(rng.random((30, 15)) < 0.3, rng.integers(1, 6, (30, 15)), 0).astype(float)
FILLED[:, 0] = 1  # nobody has nothing
PIVOT = np.where(FILLED, FILLED, np.nan)
NAMES = [f"i{i}" for i in range(15)]


def polars_frame(nulls):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(PIVOT, schema=NAMES)
    return frame.fill_nan(None).cast(polars.Int64) if nulls else frame


def arrow_table():
    pyarrow = pytest.importorskip("pyarrow")
    columns = [pyarrow.array(FILLED[:, i], mask=FILLED[:, i] == 0) for i in range(15)]
    return pyarrow.table(columns, names=NAMES)


FORMS = {
    "array": lambda: PIVOT,
    "objects": lambda: np.where(FILLED, FILLED, None),
    "lists": lambda: PIVOT.tolist(),
    "masked": lambda: np.ma.masked_equal(np.where(FILLED, FILLED, 9.0), 9.0),
    "sparse": lambda: sp.csr_array(np.where(FILLED == 1, np.nan, FILLED)),
    "pandas": lambda: pd.DataFrame(PIVOT, columns=NAMES),
    "pandas Int64": lambda: pd.DataFrame(PIVOT, columns=NAMES).astype("Int64"),
    "pandas NA": lambda: pd.DataFrame(PIVOT, columns=NAMES).astype("Int64").astype(object),
    "polars": lambda: polars_frame(nulls=False),
    "polars Int64": lambda: polars_frame(nulls=True),
    "pyarrow": arrow_table,
}
MODEL = EASERecommender().fit(FILLED)
HISTORY, HOLDOUT = LastN(1).hide(FILLED)
IDS = MODEL.recommend(k=3)[0]
EMPTY = np.zeros_like(FILLED)
CALLS = {
    "fit": lambda X: EASERecommender().fit(X),
    "recommend": lambda X: MODEL.recommend(X=X),
    "decision_function": lambda X: MODEL.decision_function(X),
    "score": lambda X: MODEL.score(X),
    "score of a holdout": lambda X: MODEL.score(EMPTY, X),
    "hide": lambda X: LastN(1).hide(X),
    "hide by time": lambda X: TimeCut(fraction=0.2).hide(X),
    "split": lambda X: list(LastN(1).split(HISTORY, X)),
    "unseen users": lambda X: list(UnseenUsers(3).split(X)),
    "scorer": lambda X: RankingScorer(k=3)(MODEL, X),
    "scorer of a holdout": lambda X: RankingScorer(k=3)(MODEL, EMPTY, X),
    "metric": lambda X: ndcg_at_k(IDS, X, k=3),
    "report": lambda X: ranking_report(IDS, HOLDOUT, train=X, k=3),
    "recency": lambda X: recency_weights(X),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", CALLS)
def test_advice(form, call):
    error = TypeError if call in ("metric", "report") else ValueError
    with pytest.raises((ValueError, error), match=r"no interaction[^|]*(fillna|filled)\(0\)") as e:
        CALLS[call](FORMS[form]())
    assert "mpute" not in str(e.value) and "HistGradient" not in str(e.value)


@pytest.mark.parametrize("call", ["fit", "recommend", "hide", "scorer", "recency"])
def test_a_mask_of_nothing_is_fine(call):
    CALLS[call](np.ma.masked_array(np.where(FILLED, FILLED, 0), mask=False))


def test_masked_blocks():
    """Masked means nothing by itself: it is said what is blocked."""
    blocked = np.ma.masked_array(FILLED > 0, mask=FILLED > 2)
    with pytest.raises(ValueError, match=r"filter_items is a masked array with \d+ masked"):
        MODEL.recommend(filter_items=blocked)


@pytest.mark.parametrize("call", ["fit", "recommend", "hide", "unseen users", "scorer"])
def test_a_table_of_events_is_no_matrix(call):
    events = pd.DataFrame({"user": ["ann", "bob"], "item": ["tea", "jam"]})
    events = events if call in ("fit", "hide", "unseen users") else events.to_numpy()
    with pytest.raises(ValueError, match="X holds text.*InteractionEncoder makes a matrix of it"):
        CALLS[call](events)


MASKED = np.ma.array([3, 1], mask=[False, True])


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.recommend(MASKED, k=2),
        lambda m: m.similar_items(MASKED, k=2),
        lambda m: m.partial_fit(FILLED[:2], user_ids=MASKED),
        lambda m: m.recommend([0, 1], k=2, guidance_scale=MASKED.astype(float)),
        lambda m: m.fit(FILLED, sample_weight=np.ma.masked_equal(np.arange(30.0), 3)),
        lambda m: m.recommend(0, k=2, items=MASKED),
    ],
)
def test_masked_ids_weights_and_scales(call):
    model = tiny_cfg(max_epochs=1).fit(FILLED)
    before = model._fit_X
    with pytest.raises((ValueError, TypeError), match="masked"):
        call(model)
    assert model._fit_X is before
