"""A pipeline from table to recommender is evaluated as its parts are by hand."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer
from table_pipelines import REGS, ScaledRecommender, make_events, pipeline

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.model_selection import GuidanceScaleCV, LastN, RankingScorer, UnseenUsers
from skdiffrec.model_selection._evaluated import recommend_at_scales
from skdiffrec.preprocessing import InteractionEncoder

EVENTS = make_events()
GRID = {"easerecommender__reg": REGS}
BY_USER = GroupKFold(3)
SCORINGS = [
    RankingScorer(),
    RankingScorer("recall@5", holdout=LastN(2)),
    RankingScorer(["ndcg", "neg_gini@3"]),
]


def by_hand(model, train, test, scorer, between=(), **parameters):
    """Encode the events of the fold, fit the recommender, evaluate it on the rows of the others."""
    encoder = InteractionEncoder(unknown_items="ignore", **parameters)
    tail = make_pipeline(*map(clone, between), clone(model)) if between else clone(model)
    tail.fit(encoder.fit_transform(train))
    return scorer(tail, encoder.transform(test))


def folds(cv=BY_USER):
    return [
        (EVENTS.iloc[train], EVENTS.iloc[test])
        for train, test in cv.split(EVENTS, groups=EVENTS["user"])
    ]


def grid_search(estimator, scoring=None, cv=BY_USER, grid=GRID, **options):
    options = {"scoring": scoring or RankingScorer(), "error_score": "raise"} | options
    return GridSearchCV(estimator, grid, cv=cv, **options).fit(EVENTS, groups=EVENTS["user"])


class TestScorer:
    @pytest.mark.parametrize("scorer", SCORINGS, ids=repr)
    def test_equals_the_parts(self, scorer):
        train, test = folds()[0]
        times = {} if scorer.holdout is None else {"timestamp": "when"}
        fitted = pipeline(**times)
        fitted[-1].values = "time" if times else "binary"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = scorer(fitted.fit(train), test)
        assert found == by_hand(fitted[-1], train, test, scorer, **times)

    @pytest.mark.parametrize(
        "form",
        [
            lambda t: t.to_dict("list"),
            lambda t: list(t.itertuples(index=False)),
            lambda t: t[["user", "item"]].to_numpy(),
            lambda t: pytest.importorskip("polars").from_pandas(t),
            lambda t: pytest.importorskip("pyarrow").Table.from_pandas(t),
        ],
        ids=["dict", "tuples", "array", "polars", "pyarrow"],
    )
    def test_forms_of_tables(self, form):
        train, test = folds()[0]
        expected = RankingScorer()(pipeline().fit(train), test)
        assert RankingScorer()(pipeline().fit(form(train)), form(test)) == expected

    def test_a_table_of_integers_is_no_matrix(self):
        numbers = EVENTS.assign(user=EVENTS["user"].factorize()[0], item=EVENTS["item"].str[1:])
        numbers = numbers[["user", "item"]].astype(int)
        for form in (numbers, numbers.to_numpy()):
            fitted = pipeline().fit(form)
            assert RankingScorer()(fitted, form) == fitted.score(form)

    def test_steps_after_the_encoder_see_the_history_only(self):
        """Each row is scaled by its own length: with hidden items in it the scale would differ."""
        train, test = folds()[0]
        between = [TfidfTransformer(norm="l1"), FunctionTransformer(accept_sparse=True)]
        model = EASERecommender(values="weight")
        fitted = make_pipeline(InteractionEncoder(unknown_items="ignore"), *between, model)
        found = RankingScorer()(fitted.fit(train), test)
        assert found == by_hand(model, train, test, RankingScorer(), between)

    def test_items_that_a_step_drops_are_not_recommended(self):
        """The histories count as the encoder gives them."""
        encoder = InteractionEncoder(weight="n", values="weight")
        drops = FunctionTransformer(lambda X: X.multiply(X > 2).tocsr(), accept_sparse=True)
        fitted = make_pipeline(encoder, drops, PopularityRecommender(values="weight"))
        table = EVENTS.assign(n=EVENTS["item"].factorize()[0] % 5 + 1)
        fitted.fit(table)
        lists = []
        scorer = RankingScorer(lambda ids, holdout, k: lists.append(ids) or 0.0)
        scorer(fitted, table)
        history, _ = scorer.split(fitted, table)
        rows = np.arange(len(lists[0]))[:, None]
        assert not (history.toarray()[rows, lists[0]] > 0).any()

    def test_split_is_that_of_the_matrix(self):
        fitted, encoder = pipeline().fit(EVENTS), InteractionEncoder()
        X = encoder.fit_transform(EVENTS)
        for found, expected in zip(
            RankingScorer().split(fitted, EVENTS), RankingScorer().split(fitted[-1], X), strict=True
        ):
            assert_array_equal(found.toarray(), expected.toarray())

    def test_a_holdout_matrix(self):
        history, held_out = EVENTS.iloc[:400], EVENTS.iloc[400:]
        fitted = pipeline().fit(history)
        encoder, model = fitted
        X = encoder.transform(history)
        y = encoder.transform(held_out, users=encoder.users_)
        y = y - y.multiply(X > 0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert RankingScorer()(fitted, history, y) == model.score(X, y)
        assert fitted.score(history, y) == model.score(X, y)
        with pytest.raises(ValueError, match=r"encoder.transform\(later, users="):
            fitted.score(history, held_out)

    def test_labels_are_no_holdout(self):
        fitted, labels = pipeline().fit(EVENTS), EVENTS["when"]
        with pytest.warns(UserWarning, match="give a matrix of shape \\(48, 50\\)"):
            assert RankingScorer()(fitted, EVENTS, labels) == RankingScorer()(fitted, EVENTS)

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda e, m: Pipeline(
                [("prepare", Pipeline([("a", e), ("b", "passthrough")])), ("m", m)]
            ),
            lambda e, m: make_pipeline(FunctionTransformer(), e, None, m),
            lambda e, m: make_pipeline(
                e, make_pipeline(FunctionTransformer(accept_sparse=True), m)
            ),
            lambda e, m: make_pipeline(e, GridSearchCV(m, {"reg": [20.0]}, cv=2)),
            lambda e, m: make_pipeline(
                ColumnTransformer([("keep", "passthrough", ["user", "item"])]), e, m
            ),
            lambda e, m: make_pipeline(
                ColumnTransformer([("encode", e, ["user", "item"])], sparse_threshold=1), m
            ),
        ],
        ids=["nested", "passthrough", "nested end", "search inside", "columns", "in columns"],
    )
    def test_nested(self, wrap):
        train, test = folds()[0]
        expected = by_hand(EASERecommender(reg=20.0), train, test, RankingScorer())
        nested = wrap(InteractionEncoder(unknown_items="ignore"), EASERecommender(reg=20.0))
        assert RankingScorer()(nested.fit(train), test) == pytest.approx(expected, abs=1e-12)

    def test_frozen(self):
        fitted = pipeline().fit(EVENTS)
        expected = RankingScorer()(fitted, EVENTS)
        assert RankingScorer()(FrozenEstimator(fitted), EVENTS) == expected
        frozen = make_pipeline(FrozenEstimator(fitted[0]), FrozenEstimator(fitted[1]))
        assert RankingScorer()(frozen, EVENTS) == expected

    def test_refusals(self):
        with pytest.raises(NotFittedError):
            RankingScorer()(pipeline(), EVENTS)
        search = grid_search(pipeline(), refit=False)
        with pytest.raises(TypeError, match="refit=True"):
            RankingScorer()(search, EVENTS)
        with pytest.raises(ValueError, match="X holds text.*InteractionEncoder.*GroupKFold"):
            cross_validate(pipeline(), EVENTS, cv=UnseenUsers(3), scoring=RankingScorer())
        with pytest.raises(ValueError, match="X holds text.*InteractionEncoder"):
            LastN(1).hide(EVENTS)


@pytest.fixture(scope="module")
def plain_search():
    return grid_search(pipeline())


class TestSearches:
    @pytest.mark.parametrize("scoring", [SCORINGS[0], SCORINGS[2]], ids=repr)
    def test_grid(self, scoring):
        refit = "ndcg@10" if scoring.several else True
        search = grid_search(pipeline(), scoring, refit=refit)
        for i, reg in enumerate(REGS):
            for fold, (train, test) in enumerate(folds()):
                expected = by_hand(EASERecommender(reg=reg), train, test, scoring)
                expected = expected if scoring.several else {"score": expected}
                for name, score in expected.items():
                    assert search.cv_results_[f"split{fold}_test_{name}"][i] == score
        assert len(set(search.cv_results_[f"mean_test_{next(iter(expected))}"])) == len(REGS)

    def test_the_default_score_agrees(self, plain_search):
        plain = grid_search(pipeline(), scoring=lambda estimator, X: estimator.score(X))
        found = plain_search
        assert_array_equal(
            plain.cv_results_["mean_test_score"], found.cv_results_["mean_test_score"]
        )

    def test_other_searches(self, plain_search):
        expected = plain_search.cv_results_["mean_test_score"]
        options = dict(cv=BY_USER, scoring=RankingScorer(), error_score="raise")
        random = RandomizedSearchCV(pipeline(), GRID, n_iter=2, random_state=0, **options)
        random.fit(EVENTS, groups=EVENTS["user"])
        assert_array_equal(np.sort(random.cv_results_["mean_test_score"]), np.sort(expected))
        halving = HalvingGridSearchCV(pipeline(), GRID, factor=2, random_state=0, **options)
        halving.fit(EVENTS, groups=EVENTS["user"])
        assert np.isfinite(halving.cv_results_["mean_test_score"]).all()
        assert np.isfinite(halving.cv_results_["mean_train_score"]).all()
        scores = cross_val_score(pipeline(reg=REGS[0]), EVENTS, groups=EVENTS["user"], **options)
        assert scores.mean() == expected[0]

    def test_a_pipeline_in_a_search_in_a_pipeline(self):
        inner = GridSearchCV(pipeline(), GRID, cv=KFold(2), scoring=RankingScorer())
        outer = make_pipeline(FunctionTransformer(), inner)
        with pytest.warns(UserWarning, match="Split events by user"):
            scores = cross_validate(
                outer, EVENTS, groups=EVENTS["user"], cv=BY_USER, scoring=RankingScorer()
            )["test_score"]
        assert np.isfinite(scores).all()

    def test_train_scores_and_user_splits_give_no_warning(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = grid_search(pipeline(), return_train_score=True)
        assert (found.cv_results_["mean_train_score"] > found.cv_results_["mean_test_score"]).all()

    def test_folds_of_events_warn(self):
        """Users are cut in two: right as a number, but seldom what is meant."""
        cv = KFold(3, shuffle=True, random_state=0)
        with pytest.warns(UserWarning, match=r'\d users of X were in fit.*events\["user"\]'):
            search = grid_search(pipeline(), cv=cv)
        train, test = folds(cv)[0]
        expected = by_hand(EASERecommender(reg=REGS[0]), train, test, RankingScorer())
        assert search.cv_results_["split0_test_score"][0] == expected

    @pytest.mark.parametrize(
        "parameters, message",
        [
            (dict(unknown_items="error"), "rare.*unknown_items="),
            (dict(unknown_users="error"), "users that fit did not see"),
            (dict(unknown_users="ignore"), 'leaves out all users.*unknown_users="keep"'),
        ],
    )
    def test_what_the_encoder_refuses_gives_no_nan(self, parameters, message):
        train, test = folds()[0]
        test = test.copy()
        test.iloc[0, 1] = "rare"
        with pytest.warns(UserWarning, match=message):
            found = RankingScorer()(pipeline(**parameters).fit(train), test)
        assert found == by_hand(EASERecommender(reg=20.0), train, test, RankingScorer())


@pytest.fixture(scope="module")
def found():
    cases = TestGuidanceScaleCV()
    return cases.search(cases.pipeline()).fit(EVENTS, groups=EVENTS["user"])


def seen_in(lists, X):
    """Which entries of the lists are items of their row of X."""
    return (lists >= 0) & (np.take_along_axis(X, lists, axis=1) > 0)


class TestGuidanceScaleCV:
    SCALES = [0.0, 1.0, 4.0]

    def pipeline(self, *between):
        encoder = InteractionEncoder(unknown_items="ignore")
        return Pipeline([("encode", encoder), *between, ("model", ScaledRecommender(reg=20.0))])

    def search(self, estimator, **options):
        return GuidanceScaleCV(estimator, scales=self.SCALES, **{"cv": BY_USER} | options)

    @pytest.mark.parametrize(
        "between", [[], [("ones", Binarizer())]], ids=["encoder", "another step"]
    )
    def test_is_a_grid_search(self, between):
        found = self.search(self.pipeline(*between)).fit(EVENTS, groups=EVENTS["user"])
        grid = {"model__guidance_scale": self.SCALES}
        expected = grid_search(self.pipeline(*between), grid=grid)
        name = "mean_test_score"
        assert_array_equal(found.cv_results_[name], expected.cv_results_[name])
        assert len(set(found.cv_results_[name])) == len(self.SCALES)
        assert found.best_estimator_["model"].guidance_scale == found.best_guidance_scale_
        assert found.score(EVENTS) == RankingScorer()(expected.best_estimator_, EVENTS)

    def test_the_best_pipeline_recommends(self, found):
        encoder, model = found.best_estimator_
        some = EVENTS[EVENTS["user"] < "user 003"]
        ids, scores = found.recommend([3, 1], k=4)
        assert_array_equal(ids, model.recommend([3, 1], k=4)[0])
        X = encoder.transform(some)
        assert_array_equal(found.recommend(k=4, X=some)[1], model.recommend(k=4, X=X)[1])
        assert found.recommend_scales([1.0], k=4, X=some)[0].shape == (1, 3, 4)
        assert_array_equal(found.decision_function(some), model.decision_function(X))

    def test_what_a_step_leaves_out_is_not_listed(self):
        """Lists are those that are evaluated: without the items of the history."""
        X = np.random.default_rng(0).integers(0, 6, (30, 20))
        steps = make_pipeline(Binarizer(threshold=3), ScaledRecommender(reg=20.0))
        found = GuidanceScaleCV(steps, scales=self.SCALES, cv=2).fit(X)

        for lists, rows in [
            (found.recommend(X=X, k=9)[0], X),
            (found.recommend(X=X.tolist(), k=9)[0], X),
            (found.recommend(k=9)[0], X),
            (found.recommend([4, 2], k=9)[0], X[[4, 2]]),
            (found.recommend_scales([1.0], X=X, k=9)[0][0], X),
        ]:
            assert not seen_in(lists, rows).any()
        assert not seen_in(found.recommend(3, k=9)[0][None], X[[3]]).any()
        assert seen_in(found.recommend(k=9, filter_seen=False)[0], X).any()
        for blocked in ([5, 7], sp.csr_array(np.isin(np.arange(20), [5, 7]) * np.ones((30, 1)))):
            lists = found.recommend(X=X, k=9, filter_items=blocked)[0]
            assert not seen_in(lists, X).any() and not np.isin(lists, [5, 7]).any()
        with pytest.raises(IndexError, match="user_ids"):
            found.recommend([30])
        expected = recommend_at_scales(
            found.best_estimator_, [found.best_guidance_scale_], sp.csr_array(X), 9
        )
        assert_array_equal(found.recommend(X=X, k=9)[0], expected[0])

    @pytest.mark.parametrize(
        "step",
        [
            SimpleImputer(strategy="constant", fill_value=0),
            FunctionTransformer(abs),
            ColumnTransformer(
                [("last", "passthrough", [8, 9]), ("first", Binarizer(), [*range(8)])]
            ),
        ],
        ids=["missing", "negative", "other columns"],
    )
    def test_steps_that_leave_nothing_out(self, step):
        X = np.random.default_rng(0).integers(0, 2, (40, 10)).astype(float)
        steps = make_pipeline(step, ScaledRecommender(reg=20.0))
        found = GuidanceScaleCV(steps, scales=self.SCALES, cv=2).fit(X)
        model, given = found.best_estimator_[-1], found.best_estimator_[:-1].transform(X)
        if isinstance(step, SimpleImputer):
            X = np.where(X > 0, X, np.nan)
        if isinstance(step, FunctionTransformer):
            X = -X
        for options in ({}, {"filter_seen": False}):
            expected = model.recommend(k=6, **options)[0]
            assert_array_equal(found.recommend(k=6, **options)[0], expected)
            expected = model.recommend(X=given, k=6, **options)[0]
            assert_array_equal(found.recommend(X=X, k=6, **options)[0], expected)

    def test_a_callable(self, found):
        """One call for each scale, of a pipeline with that scale."""
        scoring = RankingScorer()
        other = self.search(self.pipeline(), scoring=lambda *a: scoring(*a), refit=False)
        other.fit(EVENTS, groups=EVENTS["user"])
        for name in ("mean_test_score", "std_test_score"):
            assert_array_equal(other.cv_results_[name], found.cv_results_[name])

    def test_prefit_leaves_the_pipeline(self):
        train, test = folds()[0]
        fitted = self.pipeline().fit(train)
        found = self.search(fitted, cv="prefit").fit(test)
        assert fitted["model"].guidance_scale == 1.0
        assert found.best_estimator_["model"].guidance_scale == found.best_guidance_scale_ != 1.0
        frozen = self.search(FrozenEstimator(fitted), cv="prefit").fit(test)
        assert frozen.best_score_ == found.best_score_

    def test_rows_of_tuples(self, found):
        rows = list(EVENTS[["user", "item"]].itertuples(index=False, name=None))
        other = self.search(self.pipeline(), refit=False)
        other.fit(rows, groups=EVENTS["user"].to_numpy())
        assert other.best_score_ == found.best_score_

    def test_needs_scales(self):
        with pytest.raises(ValueError, match="recommend_scales.*got EASERecommender"):
            self.search(pipeline()).fit(EVENTS, groups=EVENTS["user"])
