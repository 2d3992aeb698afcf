"""Graphs of models of ratings, and of what is wanted of a list."""

import numpy as np
import pytest
from conftest import tiny_cfg
from rated_models import KINDS, rated_data
from test_onnx import assert_same_lists, inputs, session

from skdiffrec.baselines import NeighborhoodRecommender

pytest.importorskip("onnxruntime", reason="onnxruntime runs the exported graphs")
N = 40
SCALE = np.stack([np.linspace(0, 2, N), np.linspace(4, 0, N)], 1).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("drawn", "with features")])
def test_ratings(kind, tmp_path):
    X = rated_data().train
    model = tiny_cfg(values="rating", max_epochs=1, **KINDS[kind]).fit(X)
    rows = X[:N].copy()
    rows.data[rows.indptr[3] : rows.indptr[4]] = 2.0  # all alike
    given = inputs(model, rows, 1.0) | {"guidance_scale": SCALE}
    found = session(model, tmp_path / "m.onnx", k=7).run(None, given)
    by_condition = {"history": SCALE[:, 0], "disliked": SCALE[:, 1]}
    assert_same_lists(found, model.recommend(X=rows, k=7, guidance_scale=by_condition))


def test_ratings_and_what_is_wanted(tmp_path):
    data = rated_data()
    model = tiny_cfg(
        values="rating",
        max_epochs=1,
        closed_form=NeighborhoodRecommender(),
        item_features=data.item_features,
    ).fit(data.train, user_features=data.user_features)
    model.add_items(data.item_features[[4]])
    users, rng = slice(N), np.random.default_rng(0)
    wanted = (rng.random((N, data.item_features.shape[1])) < 0.2).astype(np.float32)
    scale = np.concatenate([SCALE, SCALE[::-1]], 1)
    given = inputs(model, model._fit_X[users], 1.0)
    given |= {
        "user_features": data.user_features[users].toarray(),
        "wanted": wanted,
        "guidance_scale": scale,
    }
    run = session(model, tmp_path / "m.onnx", k=7, wanted=True)
    assert [i.name for i in run.get_inputs()][2:] == ["user_features", "wanted", "guidance_scale"]
    names = ("user_features", "history", "disliked", "wanted")
    options = {"guidance_scale": dict(zip(names, scale.T, strict=True)), "wanted": wanted}
    assert_same_lists(run.run(None, given), model.recommend(np.arange(N), 7, **options))
    del given["wanted"]
    given["guidance_scale"] = scale[:, :3]
    without = session(model, tmp_path / "n.onnx", k=7).run(None, given)
    assert_same_lists(
        without, model.recommend(np.arange(N), 7, guidance_scale=options["guidance_scale"])
    )


def test_nothing_to_want(tmp_path):
    model = tiny_cfg(max_epochs=1).fit(rated_data().train)
    with pytest.raises(ValueError, match="wanted=True needs item_features"):
        model.export_onnx(tmp_path / "m.onnx", wanted=True)


def test_what_is_wanted_of_users_of_whom_nothing_is_known(tmp_path):
    data = rated_data()
    model = tiny_cfg(max_epochs=1, item_features=data.item_features)
    model.fit(data.train.astype(bool).astype(np.float32), user_features=data.user_features)
    rows = data.train[:4].astype(bool).astype(np.float32)
    rows.data[: rows.indptr[3]] = 0
    rows.eliminate_zeros()  # the last user has a history, the first nothing at all
    features = data.user_features[:4].toarray()
    features[[0, 3]] = 0
    wanted = np.zeros((4, data.item_features.shape[1]), np.float32)
    wanted[:, 2] = 1
    scale = np.ones((4, 3), np.float32) * [1, 1, 3]
    given = inputs(model, rows, 1.0)
    given |= {"user_features": features, "wanted": wanted}
    given["guidance_scale"] = scale.astype(np.float32)
    found = session(model, tmp_path / "m.onnx", k=7, wanted=True).run(None, given)
    options = {"user_features": features, "wanted": wanted, "guidance_scale": {"wanted": 3.0}}
    assert_same_lists(found, model.recommend(X=rows, k=7, **options))
