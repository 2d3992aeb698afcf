"""The encoder's matrix and ids in scikit-learn's tools: output settings, names, groups."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, LabelEncoder, OneHotEncoder

from skdiffrec.baselines import PopularityRecommender
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer
from skdiffrec.preprocessing import InteractionEncoder

USERS = ["ann", "bob", "a customer with a longer name", "eve"]
EVENTS = pd.DataFrame(
    {"user": np.repeat(USERS, 2), "item": ["tea", "jam", "tea", "rye", "jam", "rye", "tea", "jam"]}
)
KINDS = ["default", "pandas", "polars"]


class TestOutput:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_configuration_leaves_the_matrix_sparse(self, kind):
        expected = InteractionEncoder().fit_transform(EVENTS)
        with config_context(transform_output=kind):
            encoder = InteractionEncoder()
            for X in (encoder.fit_transform(EVENTS), encoder.transform(EVENTS)):
                assert sp.issparse(X)
                assert_array_equal(X.toarray(), expected.toarray())
            pipeline = make_pipeline(InteractionEncoder(), PopularityRecommender()).fit(EVENTS)
            with pytest.raises(ValueError, match="No user has a holdout"):
                pipeline.score(EVENTS.drop_duplicates("user"))
            assert_array_equal(
                pipeline[-1].recommend(k=2)[0],
                PopularityRecommender().fit(expected).recommend(k=2)[0],
            )

    @pytest.mark.parametrize("kind", [None, "default"])
    def test_default(self, kind):
        encoder = InteractionEncoder().set_output(transform=kind)
        assert sp.issparse(encoder.fit_transform(EVENTS))

    @pytest.mark.parametrize("kind", ["pandas", "polars", "?"])
    def test_data_frames_are_refused(self, kind):
        pipeline = make_pipeline(InteractionEncoder(), PopularityRecommender())
        for estimator in (InteractionEncoder(), pipeline):
            with pytest.raises(ValueError, match=rf"got '{re.escape(kind)}'.*from_spmatrix"):
                estimator.set_output(transform=kind)

    def test_what_the_error_advises(self):
        """The data frame, and the setting of the steps before."""
        encoder = InteractionEncoder()
        X = encoder.fit_transform(EVENTS)
        frame = pd.DataFrame.sparse.from_spmatrix(
            X, index=encoder.users_, columns=encoder.get_feature_names_out()
        )
        assert frame.loc["bob"].to_dict() == {"jam": 0.0, "rye": 1.0, "tea": 1.0}
        keep = ColumnTransformer(
            [("keep", "passthrough", ["item", "user"])], verbose_feature_names_out=False
        )
        pipeline = make_pipeline(keep, InteractionEncoder())
        pipeline[:1].set_output(transform="pandas")  # so that columns are found by name
        assert_array_equal(pipeline.fit_transform(EVENTS).toarray(), X.toarray())


class TestNames:
    def test_are_the_items(self):
        encoder = InteractionEncoder().fit(EVENTS)
        names = encoder.get_feature_names_out(["user", "item"])
        assert names.dtype == object and names.tolist() == encoder.items_.tolist()
        pipeline = make_pipeline(InteractionEncoder(), Binarizer()).fit(EVENTS)
        assert pipeline.get_feature_names_out().tolist() == [*names]

    def test_of_numbers_are_text(self):
        names = InteractionEncoder().fit([(1, 70), (2, 8)]).get_feature_names_out()
        assert names.tolist() == ["8", "70"]

    def test_needs_a_fit(self):
        with pytest.raises(NotFittedError):
            InteractionEncoder().get_feature_names_out()


class TestUsers:
    """`users_` of text in tools; some of scikit-learn's take it as objects only, as documented."""

    encoder = InteractionEncoder().fit(EVENTS)

    @pytest.mark.parametrize(
        "splitter",
        [
            GroupKFold(2),
            GroupShuffleSplit(3, random_state=0),
            LeaveOneGroupOut(),
            StratifiedGroupKFold(2),
        ],
        ids=lambda splitter: type(splitter).__name__,
    )
    def test_groups(self, splitter):
        X, users = self.encoder.transform(EVENTS, return_users=True)
        labels = np.arange(4) % 2
        groups = users
        for train, test in splitter.split(X, labels, groups=groups):
            assert set(groups[train]) | set(groups[test]) == set(USERS)
            assert not set(groups[train]) & set(groups[test])

    def test_groups_of_guidance_scale_cv(self):
        """It takes them as they are."""

        class Scaled(PopularityRecommender):
            guidance_scale = 1.0

            def recommend_scales(self, scales, X, k):
                ids, scores = self.recommend(X=X, k=k)
                return np.stack([ids] * len(scales)), scores

            def set_params(self, **parameters):
                return self

        X = self.encoder.transform(EVENTS)
        search = GuidanceScaleCV(
            Scaled(), scales=[1.0], cv=GroupKFold(2), scoring=RankingScorer(k=1)
        )
        assert search.fit(X, groups=self.encoder.users_).n_splits_ == 2

    def test_other_tools(self):
        users = self.encoder.users_
        train, test = train_test_split(users, random_state=0)
        assert sorted([*train, *test]) == sorted(USERS) == sorted(users)
        assert LabelEncoder().fit(users).inverse_transform([1]).tolist() == [users[1]]
        onehot = OneHotEncoder().fit(users.astype(object)[:, None])
        assert onehot.categories_[0].tolist() == users.tolist()
        assert set(users) == set(USERS)
        assert np.isin(users, ["bob", "eve"]).tolist() == [name in ("bob", "eve") for name in users]

    def test_pandas(self):
        users = self.encoder.users_
        series = pd.Series(users, name="user")
        assert series.tolist() == users.tolist()
        ages = pd.DataFrame({"user": users, "age": range(4)})
        joined = EVENTS.merge(ages, on="user")
        assert len(joined) == 8
        assert (joined["age"] == self.encoder.user_index(joined["user"])).all()
        assert EVENTS["user"].isin(users).all()
