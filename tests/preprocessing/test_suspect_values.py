"""Warnings where values say something else than they are taken for."""

import datetime
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.datasets import load_npz
from skdiffrec.model_selection import LastFraction, LastN, SampleN, TimeCut
from skdiffrec.preprocessing import (
    InteractionEncoder,
    TableRecommender,
    recency_weights,
    recommend_batches,
)

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


FRAMES = {
    "ndarray": lambda X: X,
    "csr": sp.csr_array,
    "coo": sp.coo_matrix,
    "list": list,
    "lists": lambda X: [list(row) for row in X],
    "pandas": pd.DataFrame,
    "one column": lambda X: pd.DataFrame(X.astype(float)).astype({3: X.dtype}),
    "pandas, nullable": lambda X: pd.DataFrame(X).astype(str(X.dtype).capitalize()),
    "pandas, Arrow": lambda X: pd.DataFrame(X).astype(pd.ArrowDtype(pa.from_numpy_dtype(X.dtype))),
    "pandas, sparse": lambda X: pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(X)),
    "polars": pl.DataFrame,
    "pyarrow": lambda X: pa.table(dict(zip("abcdefghijklmnopqrst", X.T.copy(), strict=True))),
    "torch": torch.from_numpy,
}
each_frame = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)


class TestTimesThatFloatsHaveRounded:
    rounded = staticmethod(lambda call: [text for text in warned(call) if "rounds times" in text])
    seconds = with_values(1.6e9, 1.7e9).toarray()

    @each_frame
    @pytest.mark.parametrize(("dtype", "warns"), [("float32", True), ("float64", False)])
    def test_in_every_form(self, frame, dtype, warns):
        X = frame(self.seconds.astype(dtype))
        found = self.rounded(lambda: EASERecommender(values="time").fit(X))
        assert len(found) == warns and all("X is given as float32" in text for text in found)

    def test_no_false_alarm(self):
        for X in (with_values(1, 9e6).astype("f4"), with_values(1.6e9, 1.7e9).astype("i8")):
            assert not self.rounded(lambda X=X: EASERecommender(values="time").fit(X))
        weights = with_values(1, 9e7).astype("f4")
        assert not self.rounded(lambda: EASERecommender(values="weight").fit(weights))
        assert not self.rounded(lambda: LastN(1).hide(weights))

    def test_half_floats(self):
        for last, warns in ((2048, False), (4000, True)):
            X = np.arange(1, last + 1, dtype=float).reshape(2, -1).astype("f2")
            found = self.rounded(lambda X=X: EASERecommender(values="time").fit(X))
            assert len(found) == warns and all("float16" in text for text in found)

    def test_wherever_times_are_read(self, tmp_path):
        X = self.seconds.astype("f4")
        model = EASERecommender(values="time").fit(self.seconds)
        readers = [
            lambda: model.recommend(X=X),
            lambda: model.decision_function(X),
            lambda: model.score(X),
            lambda: recency_weights(X),
            *(lambda s=s: s.hide(X) for s in (LastN(1), LastFraction(0.2), TimeCut())),
        ]
        for read in readers:
            (text,) = self.rounded(read)
            assert "multiples of 128" in text
        user, item = np.nonzero(X)
        path = tmp_path / "events.npz"
        np.savez(path, user=user, item=item, split=0 * user, timestamp=X[user, item])
        (text,) = self.rounded(lambda: load_npz(path, values="time"))
        assert "'timestamp' of events.npz" in text
        assert not self.rounded(lambda: load_npz(path))


@pytest.mark.parametrize("form", [np.asarray, list, lambda X: [list(row) for row in X]])
def test_dates_and_text_are_no_numbers(form):
    dense = SOME.toarray()
    X, Y = (dense > 0.5).astype(int), ((dense > 0) & (dense < 0.5)).astype(int)
    model = PopularityRecommender().fit(X)
    for dtype, what in (("M8[s]", "dates"), ("m8[s]", "spans of time"), ("U", "text")):
        readers = [
            ("X", lambda x: PopularityRecommender().fit(x)),
            ("X", lambda x: model.recommend(X=x)),
            *(("X", lambda x, s=s: s.hide(x)) for s in (LastN(1), SampleN(1), TimeCut())),
            ("times", recency_weights),
        ]
        for name, read in readers:
            with pytest.raises(ValueError, match=f"{name} holds .*{what}"):
                read(form(X.astype(dtype)))
        with pytest.raises(ValueError, match=f"y holds .*{what}"):
            model.score(X, form(Y.astype(dtype)))


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (pl.Series(["1", "2"]), "text"),
        (pl.Series([datetime.datetime(2020, 1, 1)] * 2), "dates"),
        (pl.Series([datetime.date(2020, 1, 1)] * 2), "dates"),
        (pl.Series([datetime.timedelta(1)] * 2), "spans of time"),
        (pd.Series(["1", "2"], dtype="string"), "text"),
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
def test_dates_and_text_in_frames(column, what):
    frame = pl.DataFrame if isinstance(column, pl.Series) else pd.DataFrame
    X = frame({"a": [1, 2], "b": column})
    forms = [X, X.to_arrow()] if isinstance(X, pl.DataFrame) else [X]
    for X in forms:
        with pytest.raises(ValueError, match=f"X holds .*{what}"):
            PopularityRecommender().fit(X)


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
