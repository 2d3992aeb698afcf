"""Accuracy, coverage and novelty against the guidance scale, with a picture and a comparison.

    python benchmarks/guidance_curve.py ../shared/data/lastfm.npz --plot lastfm.png

Protocol: fit on train with default settings; lists made from train; the scale is chosen by nDCG@10
on valid, and the chosen one is held against 1.0 on test (leaving out train and valid) by a paired
bootstrap over users, whose values are means over seeds. Where there are times, a second run reads
them.
"""

import argparse
import pathlib

import numpy as np
from protocol import longest, save, without

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_npz
from skdiffrec.metrics import compare, ranking_report

SCALES = (0.0, 0.25, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0, 4.0)
METRICS = ("ndcg@10", "recall@20", "coverage@10", "novelty@10")


def curves(data, values, seeds):
    """{split: {metric: (n_scales, n_users or 1) array, mean over seeds}}."""
    found = {"valid": [], "test": []}
    for seed in range(seeds):
        model = CFGDiffusionRecommender(values=values, random_state=seed).fit(data.train)
        long, _ = model.recommend_scales(SCALES, k=20 + longest(data.valid))
        found["valid"].append([evaluated(ids[:, :20], data.valid, data.train) for ids in long])
        found["test"].append(
            [evaluated(without(ids, data.valid, 20), data.test, data.train) for ids in long]
        )
        print(f"  {values}, seed {seed}: {model.n_iter_} epochs", flush=True)
    return {
        split: {m: np.mean([[at[m] for at in run] for run in runs], axis=0) for m in METRICS}
        for split, runs in found.items()
    }


def evaluated(ids, holdout, train):
    report = ranking_report(ids, holdout, k=(10, 20), train=train)
    return {
        m: np.atleast_1d(report[m] if m.startswith("coverage") else report.per_user[m])
        for m in METRICS
    }


def verdict(valid, test):
    """The scale that valid chooses against 1.0, and the one that test itself would choose."""
    plain = SCALES.index(1.0)
    chosen = int(np.nanmean(valid["ndcg@10"], axis=1).argmax())
    hindsight = int(np.nanmean(test["ndcg@10"], axis=1).argmax())
    return {
        name: {"scale": SCALES[at]}
        | compare(test["ndcg@10"][plain], test["ndcg@10"][at], random_state=0)._asdict()
        for name, at in {"chosen on valid": chosen, "best on test": hindsight}.items()
    }


def report(name, found):
    print(f"{name}\n{'scale':>6} {'valid N@10':>11} " + " ".join(f"{m:>12}" for m in METRICS))
    rows = {}
    for i, scale in enumerate(SCALES):
        row = {m: float(np.nanmean(found["test"][m][i])) for m in METRICS}
        row["valid ndcg@10"] = float(np.nanmean(found["valid"]["ndcg@10"][i]))
        rows[scale] = row
        print(
            f"{scale:6g} {row['valid ndcg@10']:11.4f} "
            + " ".join(f"{row[m]:12.4f}" for m in METRICS)
        )
    verdicts = verdict(found["valid"], found["test"])
    for how, v in verdicts.items():
        print(
            f"  {v['scale']:g} ({how}) against 1: {v['difference']:+.4f} "
            f"[{v['low']:+.4f}, {v['high']:+.4f}], p = {v['p_value']:.3g}"
        )
    return {"by_scale": rows, "verdict": verdicts}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--values", nargs="+", default=("binary", "time"))
    parser.add_argument("--plot", help="where the pictures go; the values are put into the name")
    parser.add_argument("--json", help="where to save the tables")
    options = parser.parse_args()
    record = {"data": pathlib.Path(options.data).name, "input": "train", "seeds": options.seeds}
    for values in options.values:
        if values == "time" and not load_npz(options.data).has_times:
            continue
        data = load_npz(options.data, values=values)
        found = curves(data, values, options.seeds)
        record[values] = report(f"{record['data']}, values={values!r}, test", found)
        if options.plot:
            from skdiffrec.plotting import GuidanceCurveDisplay

            shown = {m: found["test"][m] for m in ("ndcg@10", "coverage@10", "novelty@10")}
            display = GuidanceCurveDisplay(scales=SCALES, values=shown).plot()
            path = pathlib.Path(options.plot)
            display.figure_.savefig(path.with_stem(f"{path.stem}_{values}"), dpi=100)
    save(options.json, record)


if __name__ == "__main__":
    main()
