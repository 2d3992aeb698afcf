"""What the models reach on data of people; the files lie beside the project or the tests skip."""

from pathlib import Path

import numpy as np
import pytest

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.datasets import load_npz
from skdiffrec.metrics import ndcg_at_k

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def load(name, values):
    path = SHARED_DATA / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"no {path}: benchmark data are not part of the project")
    return load_npz(path, values=values)


def judge(model, data, k):
    """nDCG@k of the test items; lists from the train rows, without valid items (FIELD.md 1)."""
    n_valid = int(np.diff(data.valid.indptr).max())
    ids, _ = model.recommend(k=k + n_valid)
    valid = data.valid.toarray() > 0
    out = np.take_along_axis(valid, np.maximum(ids, 0), axis=1) | (ids < 0)
    order = np.argsort(out, axis=1, kind="stable")[:, :k]
    return ndcg_at_k(np.take_along_axis(ids, order, axis=1), data.test, k=k)


@pytest.fixture(scope="module")
def ml_100k():
    return load("ml-100k", "time")


class TestMovieLens100K:
    """In time order, few epochs; measured nDCG@10 beside each, over three seeds."""

    @pytest.fixture(scope="class")
    @classmethod
    def scores(cls, ml_100k):
        brief = dict(max_epochs=4, random_state=0)
        models = {
            "popularity": PopularityRecommender(),  # .1185
            "ease": EASERecommender(),  # .1788
            "ease, time": EASERecommender(values="time"),  # .2096
            "cfg": CFGDiffusionRecommender(**brief),  # .1755 to .1795
            "cfg, time": CFGDiffusionRecommender(values="time", **brief),  # .2092 to .2181
            "cfg, network alone": CFGDiffusionRecommender(item_path=None, **brief),  # .154 to .156
        }
        return {
            name: judge(model.fit(ml_100k.train), ml_100k, 10) for name, model in models.items()
        }

    def test_popularity_and_ease(self, scores):
        assert scores["popularity"] == pytest.approx(0.1185, abs=0.0005)
        assert scores["ease"] == pytest.approx(0.1788, abs=0.001)

    def test_cfg_beats_popularity(self, scores):
        assert scores["cfg"] > 1.35 * scores["popularity"]
        assert scores["cfg, network alone"] > 1.2 * scores["popularity"]

    def test_cfg_is_as_good_as_ease(self, scores):
        assert scores["cfg"] > 0.95 * scores["ease"]

    def test_the_order_of_time_is_worth_something(self, scores):
        assert scores["cfg, time"] > 1.1 * scores["cfg"]
        assert scores["ease, time"] > 1.1 * scores["ease"]


@pytest.mark.slow
class TestMovieLens1M:
    """Nothing set but the seed; measured nDCG@10 .0897 and, with times, nDCG@20 .2127."""

    def test_binary(self):
        data = load("ml-1m_clean", "binary")
        model = CFGDiffusionRecommender(random_state=0).fit(data.train)
        assert judge(model, data, 10) >= 0.0865

    def test_time(self):
        data = load("ml-1m_clean", "time")
        model = CFGDiffusionRecommender(values="time", random_state=0).fit(data.train)
        assert judge(model, data, 20) >= 0.150
