"""Guidance scales, the order of the parts of a split, and the worth of times."""

from . import format as fmt

METRICS = ("R@10", "R@20", "N@10", "N@20")
CURVE = {
    "valid ndcg@10": "valid nDCG@10",
    "ndcg@10": "nDCG@10",
    "recall@20": "recall@20",
    "coverage@10": "coverage@10",
    "novelty@10": "novelty@10 (bits)",
}
CURVES = (
    ("ml-1m_clean", "binary"),
    ("ml-1m_clean", "time"),
    ("amazon-office", "binary"),
    ("lastfm", "binary"),
)
WITH_TIMES = ("EASE, recency", "CFG time")


def by_scale(kind):
    """Test figures of ml-1m_clean: the baselines and CFG by scale; kind is sets or times."""
    found = fmt.load("ml-1m_clean").get("table", {})
    times = kind == "times"
    chosen = {n: r for n, r in found.items() if n.startswith(WITH_TIMES) == times}
    return _scale_table(chosen)


def paper():
    """The paper's configuration on ml-1m_clean by scale."""
    return _scale_table(fmt.load("ml-1m_clean_paper").get("table", {}), mark=False)


def _scale_table(found, mark=True):
    rows = []
    best = {m: max(r["test"][m] for r in found.values()) for m in METRICS if found and mark}
    for name, record in found.items():
        settings = ", ".join(f"{n} {v:g}" for n, v in record.get("settings", {}).items())
        cells = [fmt.score(record["test"][m]) for m in METRICS]
        cells = [
            f"**{c}**" if record["test"][m] == best.get(m) else c
            for c, m in zip(cells, METRICS, strict=True)
        ]
        name = f"{name} ({settings})" if settings else name
        name = name.replace(" binary,", ",").replace(" time,", ', `values="time"`,')
        seeds = str(record.get("n_seeds", 1))
        rows.append([name, *cells, fmt.score(record["valid"]["N@10"]), seeds])
    return fmt.table(["", *METRICS, "valid N@10", "seeds"], rows)


def _curve(data, values):
    return fmt.load(f"guidance_curve_{data}").get(values, {})


def curve(data, values):
    """Metrics by guidance scale on one data set."""
    found = _curve(data, values).get("by_scale", {})
    rows = []
    for metric, name in CURVE.items():
        numbers = [row[metric] for row in found.values()]
        if metric.startswith("novelty"):
            rows.append([name, *(f"{value:.2f}" for value in numbers)])
        else:
            cells = [fmt.score(value) for value in numbers]
            plain = metric.startswith("coverage")
            rows.append([name, *(cells if plain else fmt.bold_best(cells, numbers))])
    return fmt.table(["scale", *found], rows if found else [])


def verdicts():
    """The scales that valid and test choose, against 1."""
    rows = []
    for data, values in CURVES:
        found = _curve(data, values).get("verdict")
        if found:
            cells = [c for how in ("chosen on valid", "best on test") for c in _against(found[how])]
            rows.append([f"{data}, times" if values == "time" else data, *cells])
    difference = ["difference [95 % interval]", "p"]
    header = ["test nDCG@10 against scale 1", "chosen on valid", *difference]
    return fmt.table([*header, "best on test, in hindsight", *difference], rows)


def _against(verdict):
    scale = f"{verdict['scale']:g}"
    if verdict["scale"] == 1:
        return [scale, fmt.NONE, fmt.NONE]
    return [scale, fmt.interval(verdict), fmt.p_value(verdict)]


def gains():
    """Whether a scale is better than 1 with its whole interval, in words."""
    where = []
    for how in ("chosen on valid", "best on test"):
        better = []
        for data, values in CURVES:
            found = _curve(data, values).get("verdict", {}).get(how)
            if found and found["low"] > 0:
                better.append(f"{data} with times" if values == "time" else data)
        where.append(fmt.listing(better) if better else "no data set")
    return (
        f"For the scale chosen on valid the whole interval lies above 0 on {where[0]}; for the "
        f"scale that is best on test, which is hindsight, on {where[1]}."
    )


def trade():
    """What scale 2 changes against 1 over all curves, in words."""
    curves = [_curve(*key).get("by_scale", {}) for key in CURVES]
    curves = [found for found in curves if found]
    if not curves:
        return ""
    coverage = sorted(f["2.0"]["coverage@10"] / f["1.0"]["coverage@10"] - 1 for f in curves)
    price = sorted(1 - f["2.0"]["ndcg@10"] / f["1.0"]["ndcg@10"] for f in curves)
    return (
        f"From scale 1 to 2 coverage grows by {coverage[0]:.0%} to {coverage[-1]:.0%}, and nDCG "
        f"changes by {-price[0]:+.1%} to {-price[-1]:+.1%}."
    )


def split_order():
    """Mean similarity between the last item of one part and the first of another."""
    pairs = [("train", "valid"), ("train", "test"), ("valid", "test"), ("test", "valid")]
    rows = [
        [name.removesuffix(".npz"), *(f"{found[f'last {a} -> first {b}']:.3f}" for a, b in pairs)]
        for name, found in fmt.load("split_order").items()
    ]
    return fmt.table(["", *(f"{a} → {b}" for a, b in pairs)], rows)


def times():
    """nDCG@10 without and with times."""
    rows = []
    for data, record in fmt.load("times").items():
        for row in record["rows"]:
            scores = [fmt.score(row[values]) for values in ("binary", "time")]
            rows.append([data, row["model"], *scores, fmt.interval(row), fmt.p_value(row)])
    header = ["", "", "without times", "with times", "difference [95 % interval]", "p"]
    return fmt.table(header, rows)
