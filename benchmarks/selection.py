"""What a search over guidance scales costs.

    python benchmarks/selection.py sweep ../shared/data/ml-100k.npz ../shared/data/ml-1m_clean.npz
    python benchmarks/selection.py memory ../shared/data/ml-100k.npz
    python benchmarks/selection.py metrics ../shared/data/ml-100k.npz

sweep: `GuidanceScaleCV` over 8 scales against the same over 1 scale (3 folds, default settings),
in turns in one run. memory: `GridSearchCV` over guidance_scale and n_sampling_steps, with and
without ``memory=``, ``n_jobs`` 1 and 2: trainings and seconds. metrics: `cross_validate` with three
metrics, as three scorers and as one.
"""

import argparse
import pathlib
import tempfile
import time

import numpy as np
from protocol import save
from sklearn.model_selection import GridSearchCV, cross_validate

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_npz
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer

SCALES = (0.0, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0)
N_FOLDS = 3


def timed(run):
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def sweep(path, options):
    """Seconds of 8 scales and of 1, without the final refit, which both would pay alike."""
    X = load_npz(path).train
    seconds = {8: [], 1: []}
    evaluation = {8: [], 1: []}
    for repeat in range(options.repeats):
        for n in seconds:
            scales = SCALES if n == 8 else (1.0,)
            search = GuidanceScaleCV(
                CFGDiffusionRecommender(random_state=repeat),
                scales=scales,
                cv=N_FOLDS,
                refit=False,
            )
            total, search = timed(lambda search=search: search.fit(X))
            seconds[n].append(total)
            evaluation[n].append(search.score_times_.sum())
            of_it = f"of it evaluation {evaluation[n][-1]:.2f} s"
            print(f"{path.name}, {n} scales: {total:.1f} s, {of_it}", flush=True)
    total, one = np.median(seconds[8]), np.median(seconds[1])
    ratio = np.median(np.divide(seconds[8], seconds[1]))
    print(f"{path.name}: 8 scales / 1 scale: {ratio:.2f} in all, {total:.1f} s / {one:.1f} s")
    ratio_evaluation = np.median(evaluation[8]) / np.median(evaluation[1])
    print(f"{path.name}: evaluation alone: {ratio_evaluation:.2f}")
    return {
        "seconds": seconds,
        "evaluation": evaluation,
        "ratio": ratio,
        "ratio_evaluation": ratio_evaluation,
    }


def memory(path, options):
    """Trainings and seconds of a grid of 4 scales x 2 numbers of steps x 3 folds."""
    X = load_npz(path).train
    grid = {"guidance_scale": [0.5, 1.0, 1.5, 2.0], "n_sampling_steps": [1, 4]}
    rows, scores = [], []
    for n_jobs in (1, 2):
        for remember in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                model = CFGDiffusionRecommender(random_state=0, memory=folder if remember else None)
                search = GridSearchCV(
                    model, grid, cv=N_FOLDS, scoring=RankingScorer(), refit=False, n_jobs=n_jobs
                )
                seconds, search = timed(lambda search=search: search.fit(X))
                trained = len(list(pathlib.Path(folder).glob("joblib/**/output.pkl")))
            trained = trained if remember else len(search.cv_results_["params"]) * N_FOLDS
            rows.append({"n_jobs": n_jobs, "memory": remember, "trainings": trained})
            rows[-1]["seconds"] = seconds
            scores.append(search.cv_results_["mean_test_score"])
            print(
                f"{path.name}, n_jobs={n_jobs}, {'with' if remember else 'without'} memory: "
                f"{trained} trainings, {seconds:.1f} s",
                flush=True,
            )
    same = all(np.array_equal(scores[0], other) for other in scores[1:])
    print(f"{path.name}: equal scores in all four: {same}")
    return {"rows": rows, "equal_scores": same}


def metrics(path, options):
    """cross_validate with nDCG@10, recall@20 and coverage@10."""
    X = load_npz(path).train
    names = ("ndcg@10", "recall@20", "coverage@10")
    forms = {
        "one scorer": RankingScorer(list(names)),
        "three scorers": {name: RankingScorer(name) for name in names},
    }
    record = {}
    for form, scoring in forms.items():
        model = CFGDiffusionRecommender(random_state=0)
        seconds, found = timed(
            lambda model=model, scoring=scoring: cross_validate(model, X, cv=5, scoring=scoring)
        )
        record[form] = {name: found[f"test_{name}"].tolist() for name in names}
        record[form] |= {"seconds": seconds, "score_seconds": float(found["score_time"].sum())}
        cells = "  ".join(
            f"{name} {np.mean(record[form][name]):.4f} ± {np.std(record[form][name]):.4f}"
            for name in names
        )
        print(
            f"{path.name}, {form}: {cells}; evaluation {found['score_time'].sum():.2f} s",
            flush=True,
        )
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("sweep", "memory", "metrics"))
    parser.add_argument("data", nargs="+", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", help="where to save the figures")
    options = parser.parse_args()
    run = {"sweep": sweep, "memory": memory, "metrics": metrics}[options.what]
    save(options.json, {path.name: run(path, options) for path in options.data})


if __name__ == "__main__":
    main()
