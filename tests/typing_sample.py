"""What a type checker tells a user; run by `mypy`, not by pytest.

An ignored line is a mistake that must be seen: mypy complains of an ignore that it does not need.
"""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skdiffrec import CFGDiffusionRecommender, cosine_schedule, linear_schedule
from skdiffrec.base import BaseRecommender
from skdiffrec.baselines import (
    ALSRecommender,
    EASERecommender,
    FlowRecommender,
    MultVAERecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)
from skdiffrec.datasets import load_npz, make_interactions
from skdiffrec.distributed import recommend_dask, recommend_ray, recommend_spark
from skdiffrec.metrics import Comparison, RankingReport, compare, ndcg_at_k, ranking_report
from skdiffrec.model_selection import (
    GuidanceScaleCV,
    LastN,
    RankingScorer,
    TimeCut,
    UnseenUsers,
    split_table,
)
from skdiffrec.plotting import GuidanceCurveDisplay
from skdiffrec.preprocessing import InteractionEncoder, TableRecommender, recency_weights

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]


def recommenders(X: NDArray[np.float32]) -> None:
    model = CFGDiffusionRecommender(guidance_scale=1.5, hidden_dims=(64, 64), random_state=0)
    assert_type(model.fit(X), CFGDiffusionRecommender)
    assert_type(CFGDiffusionRecommender.paper(max_epochs=2), CFGDiffusionRecommender)
    assert_type(CFGDiffusionRecommender.paper(repaired=True), CFGDiffusionRecommender)
    assert_type(EASERecommender(values="time").fit(X), EASERecommender)
    ids, scores = model.recommend([0, 1], k=5, filter_items=np.array([3]), guidance_scale=[0, 2])
    assert_type(ids, Ids)
    assert_type(scores, Scores)
    assert_type(model.recommend(X=[[1, 0], [0, 1]]), tuple[Ids, Scores])
    assert_type(model.recommend_scales([0.0, 1.0], 3), tuple[Ids, Scores])
    assert_type(model.decision_function(X), Scores)
    assert_type(list(model.staged_decision_function(X)), list[Scores])
    assert_type(model.score(X), float)
    assert_type(model.n_iter_, int)
    assert_type(PopularityRecommender().popularity_, Scores)
    any_model: BaseRecommender = ALSRecommender(factors=8)
    assert_type(any_model.n_features_in_, int)
    vae = MultVAERecommender(target_share=(0.3, 0.7), hidden_dims=[64])
    assert_type(vae.fit(X).recommend([0], guidance_scale=1.5), tuple[Ids, Scores])
    assert_type(FlowRecommender().fit(X).decision_function(X, guidance_scale=2), Scores)
    FlowRecommender(beta=0.5)  # type: ignore[call-arg]

    CFGDiffusionRecommender(closed_form="ease")  # type: ignore[arg-type]
    CFGDiffusionRecommender(guidance_scales=1.0)  # type: ignore[call-arg]
    CFGDiffusionRecommender(1.0)  # type: ignore[call-arg]
    CFGDiffusionRecommender(noise_schedule=linear_schedule(50, beta_end=0.1))
    CFGDiffusionRecommender(closed_form=NeighborhoodRecommender(n_neighbors=50))
    assert_type(InteractionEncoder.load("encoder"), InteractionEncoder)
    assert_type(TableRecommender(model).fit([("ann", "tea")]), TableRecommender)
    assert_type(TableRecommender.load("model", device="cpu"), TableRecommender)
    assert_type(cosine_schedule(10), NDArray[np.float64])
    cosine_schedule("10")  # type: ignore[arg-type]
    EASERecommender(reg="300")  # type: ignore[arg-type]
    model.recommend([0], k="10")  # type: ignore[arg-type]
    any_model.recommend([0], guidance_scale=2.0)  # type: ignore[call-arg]


def evaluation(X: NDArray[np.float32], ids: Ids, holdout: NDArray[np.bool_]) -> None:
    assert_type(float(ndcg_at_k(ids, holdout, k=10)), float)
    assert_type(compare([0.1, 0.2], np.array([0.2, 0.3])), Comparison)
    report = ranking_report(ids, holdout, k=(5, 10), train=X)
    assert_type(report, RankingReport)
    assert_type(report["ndcg@10"], float)
    assert_type(report.per_user["ndcg@10"], NDArray[np.float64])
    scorer = RankingScorer(["ndcg", "recall@20"], holdout=LastN(1))
    assert_type(scorer.names, list[str])
    search = GuidanceScaleCV(CFGDiffusionRecommender(), scales=[0.5, 1.0], cv=UnseenUsers(3))
    assert_type(search.fit(X), GuidanceScaleCV)
    assert_type(search.best_guidance_scale_, float | dict[str, float])
    assert_type(search.recommend([0], k=3), tuple[Ids, Scores])
    GuidanceScaleCV(CFGDiffusionRecommender(), cv="prefit", scoring="ndcg", refit=False)
    curve = GuidanceCurveDisplay.from_estimator(search, X, metrics="ndcg", line_kw={"color": "C1"})
    assert_type(curve.best_scale, float)

    encoder = InteractionEncoder(timestamp="when")
    parts = split_table([("ann", "tea", 1)], TimeCut(5), encoder, repeats=True)
    assert_type(parts, tuple[csr_array, csr_array])

    split_table([("ann", "tea", 1)], TimeCut(5), encoder, repeats="keep")  # type: ignore[arg-type]
    ndcg_at_k(ids, holdout, ideal="max")  # type: ignore[arg-type]
    LastN(1, by="date")  # type: ignore[arg-type]
    RankingScorer(holdout=0.2)  # type: ignore[arg-type]
    search.recommend([0], k="3")  # type: ignore[arg-type]


def cluster(path: Path, X: csr_array) -> None:
    assert_type(recommend_dask(path, "lists", k=5, users=[0, 1], filter_items=[3]), list[str])
    assert_type(recommend_ray("model", path, X=X, num_cpus=2), list[str])
    assert_type(recommend_spark("model", path, encoder=InteractionEncoder()), list[str])
    recommend_dask(path, "lists", k="5")  # type: ignore[arg-type]
    recommend_ray(path, 3)  # type: ignore[arg-type]


def data(path: Path) -> Any:
    recency_weights([[1.0, 2.0]], half_life=5.0)
    make_interactions(50, values="seconds")  # type: ignore[arg-type]
    load_npz(3)  # type: ignore[arg-type]
    return load_npz(path, values="time").train
