"""Metrics of accuracy: formats, short lists, users without a holdout, refusals."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from metric_cases import FIXTURE_HOLDOUTS, FIXTURE_IDS, METRICS, all_metrics, slow_metrics, to_dense
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec.metrics import map_at_k, mrr_at_k, ndcg_at_k, precision_at_k, recall_at_k

# --- what comes in -------------------------------------------------------------------------------


def _messy_csr():
    """The fixture's holdout with unsorted columns, duplicates, explicit zeros and weights."""
    indices = np.array([8, 1, 1, 5, 3, 1, 2, 4, 3, 0], dtype=np.int32)
    data = np.array([0.0, 2.0, 3.0, 1.0, 9.0, 0.5, 1.0, 1.0, 1.0, 0.0])
    return sp.csr_array((data, indices, np.array([0, 3, 9, 10], dtype=np.int32)), shape=(3, 10))


HOLDOUTS = {
    **{
        f"{form}_{kind}": (lambda dense, f=form, k=kind: getattr(sp, f"{f}_{k}")(dense))
        for form in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")
        for kind in ("array", "matrix")
    },
    "messy csr": lambda dense: _messy_csr(),
    "messy csc": lambda dense: _messy_csr().tocsc(),
    "messy coo": lambda dense: _messy_csr().tocoo(),
    "dense": lambda dense: dense,
    "list": lambda dense: dense.tolist(),
    "fortran": np.asfortranarray,
    **{
        f"dense {dtype}": (lambda dense, d=dtype: dense.astype(d))
        for dtype in ("bool", "uint8", "int64", "float16", "float32")
    },
    **{
        f"csr {dtype}": (lambda dense, d=dtype: sp.csr_matrix(dense.astype(d)))
        for dtype in ("bool", "uint8", "int64", "float32")
    },
    "int64 indices": lambda dense: _wide(sp.csr_array(dense)),
    "weights": lambda dense: sp.csr_array(dense * 1e-300),
}


def _wide(matrix):
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


@pytest.mark.parametrize("make", HOLDOUTS.values(), ids=HOLDOUTS.keys())
@all_metrics
def test_holdout_formats(metric, make):
    dense = to_dense(FIXTURE_HOLDOUTS, 10)
    expected = [
        slow_metrics(row, held, 3)[next(n for n, m in METRICS.items() if m is metric)]
        for row, held in zip(FIXTURE_IDS[:2], FIXTURE_HOLDOUTS[:2], strict=True)
    ]
    got = metric(FIXTURE_IDS, make(dense), k=3, per_user=True)
    assert_allclose(got, expected + [np.nan], rtol=1e-12)


@pytest.mark.parametrize("make", [np.array, np.asfortranarray, list], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
@all_metrics
def test_id_formats(metric, dtype, make):
    holdout = to_dense(FIXTURE_HOLDOUTS, 10)
    expected = metric(FIXTURE_IDS, holdout, k=3, per_user=True)
    got = metric(make(FIXTURE_IDS.astype(dtype)), holdout, k=np.int64(3), per_user=True)
    assert_array_equal(got, expected)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
@all_metrics
def test_inputs_are_not_modified(metric, form, kind):
    # Read-only as well: joblib hands workers memory maps.
    messy = getattr(_messy_csr(), f"to{form}")()
    holdout = getattr(sp, f"{form}_{kind}")(messy)
    parts = ("row", "col", "data") if form == "coo" else ("indptr", "indices", "data")
    ids = FIXTURE_IDS.copy()
    before = [getattr(holdout, part).copy() for part in parts]
    assert len(before[2]) == 10
    for array in [ids, *(getattr(holdout, part) for part in parts)]:
        array.flags.writeable = False
    metric(ids, holdout, k=2)
    assert_array_equal(ids, FIXTURE_IDS)
    for part, old in zip(parts, before, strict=True):
        assert_array_equal(getattr(holdout, part), old, err_msg=part)


def test_duplicates_count_once_whatever_they_sum_to():
    # 128 + 128 wraps to 0 in uint8.
    data, items = np.array([128, 128, 1], np.uint8), np.array([3, 3, 5])
    coo = sp.coo_array((data, (np.zeros(3, int), items)), shape=(1, 6))
    csr = sp.csr_array((data, items, [0, 3]), shape=(1, 6))
    csc = sp.csc_array((data, [0, 0, 0], [0, 0, 0, 0, 2, 2, 3]), shape=(1, 6))
    for holdout in (coo, csr, csc):
        assert holdout.data.size == 3
        assert recall_at_k([[3, 0]], holdout, k=2) == 0.5, holdout.format


def test_catalogue_too_wide_for_int32():
    n_items = 3_000_000_000
    rows, items = [0, 1, 1], [n_items - 1, 0, 2**31]
    holdout = sp.coo_array((np.ones(3), (rows, items)), shape=(2, n_items)).tocsr()
    ids = np.array([[n_items - 1, 0], [2**31 - 1, 2**31]])
    assert_array_equal(mrr_at_k(ids, holdout, k=2, per_user=True), [1.0, 0.5])


def test_users_times_items_too_large_for_int32():
    # 70,000 x 70,000 keys: a key made of both in 32 bits would wrap.
    n = 70_000
    holdout = sp.csr_array((np.ones(n), np.arange(n)[::-1], np.arange(n + 1)), shape=(n, n))
    ids = np.stack([np.arange(n), np.arange(n)[::-1]], axis=1)
    assert_array_equal(mrr_at_k(ids, holdout, k=2, per_user=True), np.full(n, 0.5))


# --- short lists, no holdout ---------------------------------------------------------------------


def test_fill_is_never_a_hit():
    # The last item is where an index of -1 would land.
    holdout = to_dense([{4}, {4}, {0, 4}], 5)
    ids = [[-1, -1, -1], [0, 4, -1], [0, -1, -1]]
    assert_array_equal(mrr_at_k(ids, holdout, k=3, per_user=True), [0, 0.5, 1])
    assert_array_equal(precision_at_k(ids, holdout, k=3, per_user=True), [0, 1 / 3, 1 / 3])
    assert_array_equal(recall_at_k(ids, holdout, k=3, per_user=True), [0, 1, 0.5])
    assert_allclose(map_at_k(ids, holdout, k=3, per_user=True), [0, 0.5, 0.5])


@all_metrics
def test_users_without_holdout_are_left_out_of_the_mean(metric):
    ids = [[0, 1], [0, 1], [2, 0]]
    holdout = [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
    per_user = metric(ids, holdout, k=2, per_user=True)
    assert_array_equal(per_user, [1, np.nan, 0])
    assert metric(ids, holdout, k=2) == 0.5


@pytest.mark.parametrize("shape", [(2, 5), (0, 5), (2, 0)])
@all_metrics
def test_no_user_has_a_holdout(metric, shape):
    ids = np.full((shape[0], 3), -1)
    with pytest.raises(ValueError, match=rf"holdout .* got {shape[0]} users and no item.*per_user"):
        metric(ids, sp.csr_array(shape), k=3)
    assert_array_equal(metric(ids, sp.csr_array(shape), k=3, per_user=True), [np.nan] * shape[0])


@all_metrics
def test_explicit_zeros_alone_are_no_holdout(metric):
    holdout = sp.csr_array((np.zeros(2), [0, 1], [0, 1, 2]), shape=(2, 3))
    with pytest.raises(ValueError, match="holdout must hold an item"):
        metric([[0], [1]], holdout, k=1)


# --- refusals ------------------------------------------------------------------------------------

GOOD = [[1, 2, 3], [3, 2, -1]]
HELD = np.array([[1.0, 0, 0, 1], [0, 1, 0, 0]])


def held(value):
    bad = HELD.copy()
    bad[1, 2] = value
    return bad


@pytest.mark.parametrize(
    ("ids", "holdout", "k", "error", "message"),
    [
        ([1, 2, 3], HELD, 3, ValueError, r"ids must be 2-D, got shape \(3,\); pass the ids"),
        ([GOOD, GOOD], HELD, 3, ValueError, r"ids must be 2-D, got shape \(2, 2, 3\)"),
        (sp.csr_array(np.eye(2, dtype=int)), HELD, 2, ValueError, r"ids must be 2-D, got shape"),
        ([[1, 2], [3]], HELD, 1, ValueError, r"ids must be a 2-D array, got uneven rows .*-1"),
        (np.array(GOOD, float), HELD, 3, TypeError, "ids must hold integers, got dtype float64"),
        (np.array(GOOD) > 0, HELD, 3, TypeError, "ids must hold integers, got dtype bool"),
        ([["a", "b"]] * 2, HELD, 2, TypeError, "ids must hold integers, got dtype <U1"),
        ([[0, 1, 2], [3, 0, 4]], HELD, 2, IndexError, r"ids .*0 to 3.* got 4 at row 1, place 2"),
        ([[0, 1, 2], [3, -2, 0]], HELD, 1, IndexError, r"ids .*got -2 at row 1, place 1"),
        (np.array([[0], [2**64 - 1]], "u8"), HELD, 1, IndexError, rf"ids .*got {2**64 - 1} at"),
        ([[0, 1, 2], [3, -1, 0]], HELD, 1, ValueError, "ids .*-1.*got item 0 after -1 in row 1"),
        ([[0, 1, 2], [3, 2, 3]], HELD, 2, ValueError, "ids .*repeat.*got item 3 .*row 1.*drop"),
        ([[0, 1, 0], [3, -1, -1]], HELD, 1, ValueError, "ids .*repeat.*got item 0 .*row 0"),
        (GOOD[:1], HELD, 3, ValueError, "ids and holdout .*got 1 rows of ids and 2 of holdout"),
        (GOOD, HELD, 4, ValueError, r"k must be at most .*ids \(3\), got 4; recommend longer"),
        (GOOD, HELD, 0, ValueError, "k must be at least 1, got 0; pass"),
        (GOOD, HELD, -1, ValueError, "k must be at least 1, got -1; pass"),
        (GOOD, HELD, True, TypeError, "k must be an integer, got True of type bool; pass"),
        (GOOD, HELD, np.True_, TypeError, "k must be an integer, got .*True.* of type bool"),
        (GOOD, HELD, 2.0, TypeError, "k must be an integer, got 2.0 of type float; pass"),
        (GOOD, HELD, "2", TypeError, "k must be an integer, got '2' of type str; pass"),
        (GOOD, HELD, None, TypeError, "k must be an integer, got None of type NoneType"),
        (GOOD, held(-1), 3, ValueError, r"holdout .*>= 0, got -1\.0 at row 1, column 2; drop"),
        (GOOD, held(np.nan), 3, ValueError, r"holdout .*got nan at row 1, column 2; drop"),
        (GOOD, held(np.inf), 3, ValueError, r"holdout .*finite.*got inf at row 1, column 2; drop"),
        (GOOD, HELD[0], 3, ValueError, r"holdout must be 2-D, got shape \(4,\); pass a users x"),
        (GOOD, sp.coo_array(HELD[0]), 3, ValueError, r"holdout must be 2-D, got shape \(4,\)"),
        (GOOD, HELD.astype(str), 3, TypeError, "holdout must hold numbers, got dtype <U"),
        (GOOD, sp.csr_array(HELD * 1j), 3, TypeError, "holdout must hold numbers, got dtype compl"),
        (GOOD, [{0, 3}, {1}], 3, ValueError, r"holdout must be 2-D, got shape \(2,\)"),
        (GOOD, [[0, 3], [1]], 3, ValueError, "holdout must be a 2-D array, got uneven rows"),
    ],
)
def test_refusals(ids, holdout, k, error, message):
    for metric in METRICS.values():
        with pytest.raises(error, match=message):
            metric(ids, holdout, k)
        with pytest.raises(error, match=message):
            metric(ids, holdout, k=k, per_user=True)


def test_the_good_arguments_of_the_refusals_pass():
    assert recall_at_k(GOOD, HELD, 3) == 0.25


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_bad_holdout_values_in_every_format(form, value):
    holdout = getattr(sp, f"{form}_array")(held(value))
    with pytest.raises(ValueError, match=rf"holdout .*got {value} at row 1, column 2"):
        recall_at_k(GOOD, holdout, k=3)


def test_negative_values_do_not_hide_in_duplicates():
    holdout = sp.coo_array((np.array([1, -1]), ([0, 0], [2, 2])), shape=(1, 4))
    with pytest.raises(ValueError, match="holdout .*got -1 at row 0, column 2"):
        recall_at_k([[2]], holdout, k=1)


def test_per_user_is_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        recall_at_k(GOOD, HELD, 3, True)


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_missing_entries_of_a_pivot(missing):
    holdout = np.array([[1, missing], [missing, 1]], object)
    for table in (pd.DataFrame(holdout), pd.DataFrame(holdout).convert_dtypes()):
        with pytest.raises((TypeError, ValueError), match=r"missing means.*fillna\(0\)"):
            ndcg_at_k([[0], [1]], table, k=1)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "int64[pyarrow]", "mixed"])
def test_frames_of_nullable_types(dtype):
    holdout = pd.DataFrame([[0, 1, 0, 1], [1, 0, 0, 0]], columns=list("abcd"))
    ids = pd.DataFrame([[1, 2], [3, 0]])
    expected = ndcg_at_k(ids, holdout, 2)
    if dtype == "mixed":
        holdout["a"] = holdout["a"].astype(bool)
        assert np.asarray(holdout).dtype == object
    else:
        holdout = holdout.astype(bool if dtype == "boolean" else int).astype(dtype)
    assert ndcg_at_k(ids.astype("Int64"), holdout, 2) == expected
    if dtype not in ("mixed", "boolean"):
        holdout.iloc[0, 0] = pd.NA
        with pytest.raises((TypeError, ValueError), match="fillna"):
            ndcg_at_k(ids, holdout, 2)


def test_text_in_a_frame_is_refused():
    with pytest.raises(TypeError, match="must hold numbers"):
        ndcg_at_k([[0]], pd.DataFrame([["1", "0"]], dtype=object), 1)
