"""Warnings where values say something else than they are taken for."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender, recommend_batches

EVENTS = [("ann", "tea", 5.0, 30.0), ("ann", "jam", 2.0, 20.0), ("bob", "jam", 4.0, 10.0)]
SOME = sp.csr_array(sp.random(30, 20, 0.3, format="csr", random_state=0))


def warned(call):
    """The texts of all warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


def with_values(low, high, X=SOME):
    X = X.copy()
    X.data = np.linspace(low, high, X.nnz)
    return X


class TestUnusedWeights:
    def encode(self, **parameters):
        encoder = InteractionEncoder(weight="weight", **parameters)
        events = EVENTS if "timestamp" in parameters else [event[:3] for event in EVENTS]
        return warned(lambda: encoder.fit(events).transform(events))

    def test_once(self):
        for parameters in (dict(timestamp="timestamp"), dict(order=True)):
            (text,) = self.encode(**parameters)
            assert "weights of column 'weight' are not used" in text and 'values="time"' in text

    @pytest.mark.parametrize(
        "parameters",
        [{}, dict(values="time"), dict(values="weight"), dict(min_weight=1), dict(returns="net")],
    )
    def test_no_false_alarm(self, parameters):
        timed = {} if parameters == {} else dict(timestamp="timestamp")
        assert not self.encode(**timed, **parameters)

    def test_weights_that_say_nothing(self):
        ones = [(user, item, float(time > 10), time) for user, item, _, time in EVENTS]
        encoder = InteractionEncoder(weight="weight", timestamp="timestamp")
        assert not warned(lambda: encoder.fit(ones))


class TestTimesAsSomethingElse:
    @pytest.mark.parametrize("unit", [1, 1e3, 1e6, 1e9])
    @pytest.mark.parametrize("values", ["binary", "weight"])
    @pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array, lambda X: X.toarray()])
    def test_dates(self, unit, values, form):
        X = form(with_values(8e8 * unit, 1.7e9 * unit))
        model = EASERecommender(values=values)
        (text,) = warned(lambda: model.fit(X).recommend(X=X))
        assert f'values="{values}"' in text and 'Set values="time"' in text
        assert not warned(lambda: EASERecommender(values="time").fit(X))

    @pytest.mark.parametrize(
        ("low", "high"), [(1, 5), (1, 40_000), (1, 1e12), (1e9, 1e9), (1e5, 6e8), (5e9, 6e9)]
    )
    def test_no_false_alarm(self, low, high):
        for values in ("binary", "weight"):
            assert not warned(
                lambda v=values: EASERecommender(values=v).fit(with_values(low, high))
            )

    def test_models_to_which_times_mean_nothing(self):
        assert not warned(lambda: PopularityRecommender().fit(with_values(8e8, 1.7e9)))
        assert warned(lambda: PopularityRecommender(values="weight").fit(with_values(8e8, 1.7e9)))

    @pytest.mark.parametrize(("dtype", "warns"), [("f4", True), ("f8", False), ("i8", False)])
    def test_times_that_float32_has_rounded(self, dtype, warns):
        X = with_values(1.6e9, 1.7e9).astype(dtype)
        found = warned(lambda: EASERecommender(values="time").fit(X))
        assert [text for text in found if "as float32, which rounds" in text] == found
        assert len(found) == warns
        assert not warned(lambda: EASERecommender(values="time").fit(with_values(1, 9e6)))

    def test_an_encoder_and_a_model(self):
        encoders = {
            "binary": InteractionEncoder(user=0, item=1).fit(EVENTS),
            "weight": InteractionEncoder(user=0, item=1, weight=2).fit(EVENTS),
            "bought": InteractionEncoder(user=0, item=1, weight=2, min_weight=1).fit(EVENTS),
            "net": InteractionEncoder(user=0, item=1, weight=2, returns="net").fit(EVENTS),
            "time": InteractionEncoder(user=0, item=1, timestamp=3).fit(EVENTS),
        }
        found = set()
        for given, encoder in encoders.items():
            for taken in ("binary", "weight", "time"):
                model = EASERecommender(values=taken).fit(encoder.transform(EVENTS))
                if warned(lambda e=encoder, m=model: recommend_batches(m, e)):
                    found.add((given, taken))
        of_weights = {(given, "time") for given in ("weight", "bought", "net")}
        of_weights.add(("weight", "binary"))  # others say by weights what counts
        assert found == {("time", "binary"), ("time", "weight"), *of_weights}
        model = PopularityRecommender().fit(encoders["time"].transform(EVENTS))
        assert not warned(lambda: recommend_batches(model, encoders["time"]))

    def test_a_table_recommender(self):
        encoder = InteractionEncoder(user=0, item=1, timestamp=3)
        for values in ("binary", "time"):
            model = TableRecommender(EASERecommender(values=values), encoder)
            assert len(warned(lambda model=model: model.fit(EVENTS))) == (values == "binary")


class TestAdjacency:
    def test_a_graph_of_users_and_items(self):
        for n_users in (30, 4):
            corner = SOME[:n_users]
            graph = sp.block_array([[None, corner], [corner.T, None]], format="coo")
            for X in (graph, graph.toarray()):
                (text,) = warned(lambda X=X: PopularityRecommender().fit(X))
                # users after the last with an item cannot be told from items, and vice versa
                assert f"X[:{n_users}, {n_users}:]" in text

    def test_no_false_alarm(self):
        square = SOME[:20]
        friends = square + square.T
        one_way = sp.block_array([[None, SOME], [sp.csr_array((20, 30)), None]])
        blocks = np.kron(np.eye(2), np.ones((4, 4)))
        checkerboard = np.indices((8, 8)).sum(0) % 2
        tiny = np.array([[0, 1], [1, 0]])
        for X in (SOME, square, friends, one_way, blocks, checkerboard, tiny):
            assert not warned(lambda X=X: PopularityRecommender().fit(X))
