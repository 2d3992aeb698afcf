"""Metrics by name and the report: the same numbers as the functions, from one lookup."""

import pickle
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from metric_cases import METRICS, random_case
from numpy.testing import assert_array_equal

import skdiffrec.metrics as metrics
from skdiffrec.metrics import Convention, ranking_report
from skdiffrec.metrics._registry import NAMES, evaluate

IDS, HOLDOUT, TRAIN = random_case(short=True)
IDS[0] = -1  # one user without a list
DISLIKED = np.roll(HOLDOUT, 1, axis=1) * (HOLDOUT == 0)
VECTORS = np.random.default_rng(0).random((50, 3))
ARGUMENTS = {
    "coverage": (50,),
    "gini": (50,),
    "personalization": (),
    "novelty": (TRAIN,),
    "popularity_bias": (TRAIN,),
    "serendipity": (HOLDOUT, TRAIN),
    "intra_list_diversity": (),
}


def by_function(name, k, **options):
    """The value that the public function gives."""
    if name in METRICS:
        return METRICS[name](IDS, HOLDOUT, k, **options)
    if name == "intra_list_diversity":
        options["item_vectors"] = VECTORS
    if name == "disliked":
        return metrics.disliked_at_k(IDS, 5 * HOLDOUT + DISLIKED, k, liked_from=4, **options)
    return getattr(metrics, f"{name}_at_k")(IDS, *ARGUMENTS[name], k=k, **options)


def full_report(**options):
    given = dict(train=TRAIN, item_vectors=VECTORS, disliked=DISLIKED) | options
    return ranking_report(IDS, HOLDOUT, k=(3, 10, 5), **given)


# --- evaluate ------------------------------------------------------------------------------------


def test_names_are_those_of_the_functions():
    public = {name.removesuffix("_at_k") for name in metrics.__all__ if name.endswith("_at_k")}
    assert set(NAMES) == public


@pytest.mark.parametrize("name", NAMES)
def test_evaluate_gives_what_the_function_gives(name):
    names = [name, f"{name}@10", f"{name}@3", "ndcg@7"]
    more = dict(item_vectors=VECTORS, disliked=DISLIKED)
    values = evaluate(names, IDS, sp.csr_array(HOLDOUT), TRAIN, **more)
    assert list(values) == names
    assert values[name] == values[f"{name}@10"] == by_function(name, 10)
    assert values[f"{name}@3"] == by_function(name, 3)
    assert values["ndcg@7"] == by_function("ndcg", 7)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"coverage", "gini"}))
def test_evaluate_per_user(name):
    more = dict(item_vectors=VECTORS, disliked=DISLIKED)
    values = evaluate([f"{name}@4"], IDS, HOLDOUT, TRAIN, per_user=True, **more)
    assert_array_equal(values[f"{name}@4"], by_function(name, 4, per_user=True))


@pytest.mark.parametrize("convention", ["lenskit", Convention(recall_divisor="min", empty="zero")])
def test_evaluate_by_convention(convention):
    values = evaluate(["recall@3", "map@3"], IDS, HOLDOUT, convention=convention)
    assert values["recall@3"] == by_function("recall", 3, convention=convention)
    assert values["recall@3"] != by_function("recall", 3)
    assert values["map@3"] == by_function("map", 3, convention=convention)


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        (
            ["ndgc"],
            {},
            ValueError,
            "Unknown metric 'ndgc'; did you mean 'ndcg'.*Valid are precision",
        ),
        (["xyz@3"], {}, ValueError, "Unknown metric 'xyz@3'; Valid are .*intra_list_diversity"),
        (["ndcg@0"], {}, ValueError, "'ndcg@0': what follows '@' must be an integer >= 1; write"),
        (["ndcg@ten"], {}, ValueError, "'ndcg@ten': what follows '@'"),
        (["ndcg@"], {}, ValueError, "'ndcg@': what follows '@'"),
        (["ndcg@11"], {}, ValueError, r"k must be at most .*ids \(10\), got 11"),
        ([10], {}, TypeError, "A metric must be a str, got 10 of type int"),
        ([], {}, ValueError, "names must hold a metric, got none"),
        (["novelty"], {}, ValueError, "novelty, .*need train, got None; pass"),
        (["intra_list_diversity"], {}, ValueError, "needs item_vectors or similarity, got neither"),
        (["gini"], {"per_user": True}, ValueError, "gini has one value for all users together"),
        (["recall"], {"convention": "implicit"}, ValueError, "'implicit' has no recall, only"),
        (["ndcg"], {"train": TRAIN[:, :9]}, ValueError, "train .*9 columns and 50 items"),
        (
            ["popularity_bias"],
            {"train": TRAIN[:9]},
            ValueError,
            "ids and train .*30 rows of ids and 9",
        ),
        (["ndcg"], {"similarity": np.eye(9)}, ValueError, "similarity .*9 rows and 50 items"),
    ],
)
def test_refusals(names, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(names, IDS, HOLDOUT, **options)


# --- the report ----------------------------------------------------------------------------------


def test_report_holds_everything_at_every_k():
    report = full_report()
    assert list(report) == [f"{name}@{k}" for name in NAMES for k in (3, 5, 10)]
    for name in NAMES:
        for k in (3, 5, 10):
            assert report[f"{name}@{k}"] == by_function(name, k), (name, k)
    assert report.to_dict() == dict(report) and len(report) == 3 * len(NAMES)
    assert (report.n_users, report.n_evaluated) == (30, (HOLDOUT.sum(axis=1) > 0).sum())
    assert report.k == (3, 5, 10) and report.convention == "skdiffrec"


def test_report_per_user():
    report = full_report()
    assert set(report) - set(report.per_user) == {
        f"{n}@{k}" for n in ("coverage", "gini") for k in (3, 5, 10)
    }
    for name in report.per_user:
        metric, _, k = name.partition("@")
        assert_array_equal(report.per_user[name], by_function(metric, int(k), per_user=True))
        assert np.nanmean(report.per_user[name]) == pytest.approx(report[name], rel=1e-12)
    assert report.per_user["ndcg@5"] is report.per_user["ndcg@5"]


def test_report_leaves_out_what_it_cannot_judge():
    accuracy = ["precision", "recall", "ndcg", "map", "mrr", "hit_rate"]
    lists = ["coverage", "gini", "personalization"]

    def names(**options):
        return [name.removesuffix("@10") for name in ranking_report(IDS, HOLDOUT, 10, **options)]

    assert names() == accuracy + lists
    assert names(train=TRAIN) == [*accuracy, *lists, "novelty", "popularity_bias", "serendipity"]
    assert names(train=TRAIN[:9]) == [*accuracy, *lists, "novelty", "serendipity"]
    assert names(similarity=VECTORS @ VECTORS.T) == [*accuracy, *lists, "intra_list_diversity"]
    assert names(convention="implicit") == ["precision", "ndcg", "map", *lists]


def test_report_by_convention():
    report = full_report(convention="lenskit")
    assert report["recall@3"] == by_function("recall", 3, convention="lenskit")
    assert "convention 'lenskit'" in str(report)
    own = full_report(convention=Convention(precision_divisor="min"))
    assert own["precision@5"] == by_function("precision", 5, divisor="min")
    assert "convention custom" in str(own)


def test_report_prints_an_aligned_table():
    report = full_report()
    head, columns, *rows = str(report).splitlines()
    assert head == f"{report.n_evaluated} of 30 users evaluated, convention 'skdiffrec'"
    assert columns.split() == ["@3", "@5", "@10"]
    assert [row.split()[0] for row in rows] == list(NAMES)
    assert len({len(row) for row in [columns, *rows]}) == 1
    assert float(rows[2].split()[3]) == round(report["ndcg@10"], 4)
    assert repr(report) == f"<RankingReport: 42 values, {report.n_evaluated} of 30 users evaluated>"


def test_report_as_a_frame(monkeypatch):
    report = full_report()
    frame = report.to_frame()
    assert list(frame.columns) == [3, 5, 10] and list(frame.index) == list(NAMES)
    assert frame.loc["recall", 5] == report["recall@5"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="needs pandas; run pip install pandas"):
        report.to_frame()


def test_report_goes_through_pickle():
    report = full_report()
    copy = pickle.loads(pickle.dumps(report))
    assert copy == report and str(copy) == str(report)
    assert_array_equal(copy.per_user["map@5"], report.per_user["map@5"])


def test_report_refusals():
    with pytest.raises(KeyError, match="'ndcg@9' is not in this report; it holds precision@3"):
        full_report()["ndcg@9"]
    with pytest.raises(KeyError, match="'gini@5' is not in this report"):
        full_report().per_user["gini@5"]
    with pytest.raises(ValueError, match="k must hold at least one"):
        ranking_report(IDS, HOLDOUT, k=())
    with pytest.raises(TypeError, match="k must be an integer, got 2.5"):
        ranking_report(IDS, HOLDOUT, k=(1, 2.5))
    with pytest.raises(ValueError, match=r"k must be at most .*\(10\), got 20"):
        ranking_report(IDS, HOLDOUT)
    with pytest.raises(ValueError, match="exactly one of item_vectors and similarity, got both"):
        full_report(similarity=np.eye(50))


def test_one_k_and_repeated_ks():
    assert ranking_report(IDS, HOLDOUT, 5).k == (5,)
    assert ranking_report(IDS, HOLDOUT, [5, np.int64(2), 5]).k == (2, 5)


def test_inputs_are_not_modified():
    holdout, train = sp.csr_array(HOLDOUT), sp.csr_array(TRAIN)
    ids = IDS.copy()
    for array in (ids, holdout.data, holdout.indices, train.data, train.indices):
        array.flags.writeable = False
    report = ranking_report(ids, holdout, 5, train=train, similarity=sp.csr_array(np.eye(50)))
    assert report["intra_list_diversity@5"] == 1.0
    assert_array_equal(ids, IDS)


IDS_OF_TWO, HOLDOUT_OF_TWO = [[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]]


@pytest.mark.parametrize(
    ("ids", "holdout", "options", "undefined"),
    [
        (IDS_OF_TWO[:1], HOLDOUT_OF_TWO[:1], {"k": 2}, {"personalization@2"}),
        ([[3, 2], [-1, -1]], HOLDOUT_OF_TWO, {"k": 2}, {"personalization@2"}),
        (
            IDS_OF_TWO,
            HOLDOUT_OF_TWO,
            {"k": (1, 2), "item_vectors": np.eye(5)},
            {"intra_list_diversity@1"},
        ),
        (
            IDS_OF_TWO,
            HOLDOUT_OF_TWO,
            {"k": 2, "train": np.zeros((2, 5))},
            {"novelty@2", "popularity_bias@2"},
        ),
    ],
    ids=["one user", "one list", "one item", "no history"],
)
def test_what_is_undefined_is_nan(ids, holdout, options, undefined):
    report = ranking_report(ids, holdout, **options)
    assert {name for name, value in report.items() if np.isnan(value)} == undefined
    for name in undefined:
        assert_array_equal(report.per_user[name], np.full(len(ids), np.nan))
    assert "nan" in str(report)
