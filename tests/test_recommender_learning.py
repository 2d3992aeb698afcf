"""CFGDiffusionRecommender: what it learns of generated data, against the baselines."""

import copy

import numpy as np
import pytest
from conftest import tiny_cfg
from scipy.sparse import csr_array
from scipy.stats import spearmanr

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender, PopularityRecommender

WELL_TRAINED = dict(hidden_dims=(128, 128), max_epochs=10, closed_form=EASERecommender(reg=100.0))


@pytest.fixture(scope="module")
def evaluate(drift_data):
    return lambda model: model.score(drift_data.train, drift_data.test)


@pytest.fixture(scope="module")
def popularity(drift_data, evaluate):
    return evaluate(PopularityRecommender().fit(drift_data.train))


@pytest.fixture(scope="module")
def ease(drift_data, evaluate):
    models = (EASERecommender(reg=reg).fit(drift_data.train) for reg in (50.0, 100.0, 200.0))
    return max(evaluate(model) for model in models)


@pytest.fixture(scope="module")
def binary(drift_data):
    return tiny_cfg(**WELL_TRAINED).fit(drift_data.train)


@pytest.fixture(scope="module")
def timed(drift_data):
    return tiny_cfg(**WELL_TRAINED, values="time").fit(drift_data.train)


class TestLearning:
    """On data whose users change their taste: 1,000 users, 300 items."""

    def test_strong_models_beat_popularity(self, binary, ease, popularity, evaluate):
        assert ease > 1.8 * popularity
        assert evaluate(binary) > 1.8 * popularity

    def test_as_good_as_ease(self, binary, ease, evaluate):
        assert evaluate(binary) > 0.95 * ease

    @pytest.mark.slow
    def test_the_network_alone_beats_popularity(self, drift_data, popularity, evaluate):
        parameters = {**WELL_TRAINED, "closed_form": None}
        assert evaluate(tiny_cfg(**parameters).fit(drift_data.train)) > 1.6 * popularity

    @pytest.mark.slow
    def test_the_papers_configuration_ranks_once_it_is_repaired(
        self, drift_data, popularity, evaluate
    ):
        paper, repaired = (
            CFGDiffusionRecommender.paper(repaired=flag, device="cpu", random_state=0)
            for flag in (False, True)
        )
        assert evaluate(paper.fit(drift_data.train)) < popularity
        assert evaluate(repaired.fit(drift_data.train)) > 1.6 * popularity

    @pytest.mark.slow
    def test_the_order_of_time_is_worth_something(self, timed, binary, evaluate):
        assert evaluate(timed) > 1.04 * evaluate(binary)

    def test_time_beats_its_own_items_in_another_order(self, timed, drift_data, evaluate):
        """What counts is the order: with all times turned round the same model is worse."""
        turned = drift_data.train.copy()
        turned.data = turned.data.max() + 1 - turned.data
        assert evaluate(timed) > 1.1 * timed.score(turned, drift_data.test)

    @pytest.mark.slow
    def test_training_looks_forward_in_time(self, drift_data, evaluate):
        """Without recency weights what is left is the order of training: measured .244, .205."""
        turned = drift_data.train.copy()
        turned.data = turned.data.max() + 1 - turned.data
        parameters = {**WELL_TRAINED, "values": "time", "half_life": None, "closed_form": None}
        forward, backward = (
            tiny_cfg(**parameters, early_stopping=False).fit(X) for X in (drift_data.train, turned)
        )
        assert evaluate(forward) > 1.08 * evaluate(backward)

    def test_new_users_are_served_as_well(self, drift_data, evaluate, popularity):
        """Half the users were never in `fit`."""
        half = drift_data.train.shape[0] // 2
        model = tiny_cfg(**WELL_TRAINED).fit(drift_data.train[:half])
        unseen = model.score(drift_data.train[half:], drift_data.test[half:])
        assert unseen > 1.6 * popularity

    def test_unguided_is_popular(self, binary, drift_data):
        popularity = PopularityRecommender().fit(drift_data.train).popularity_
        unguided = copy.deepcopy(binary).set_params(guidance_scale=0.0)
        scores = unguided.decision_function(csr_array((1, 300)))[0]
        assert spearmanr(scores, popularity).statistic > 0.8

    def test_guidance_is_a_dial_from_popular_to_personal(self, binary, drift_data, evaluate):
        popularity = PopularityRecommender().fit(drift_data.train).popularity_
        popular, distinct, ndcg = [], [], []
        for scale in (0.0, 0.3, 1.0):
            ids, _ = binary.recommend(guidance_scale=scale)
            popular.append(popularity[ids].mean())
            distinct.append(len(np.unique(ids)))
            ndcg.append(evaluate(copy.deepcopy(binary).set_params(guidance_scale=scale)))
        assert popular[0] > popular[1] > popular[2]
        assert distinct[0] < distinct[1] < distinct[2]
        assert ndcg[0] < ndcg[1] < ndcg[2]
