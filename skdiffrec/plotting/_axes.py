"""Drawing helpers of the displays: axes, colours, error bands, legends, labels of metrics."""

import numpy as np

# The palette of Okabe and Ito, safe for colour-blind readers, without yellow (faint on white).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "d")
REFERENCE = dict(color="0.45", linestyle=":", linewidth=1.2)  # style of reference lines
BAND_FACTOR = 1.96  # standard errors: 95 % of a normal distribution
_NAMES = {"ndcg": "nDCG", "map": "MAP", "mrr": "MRR"}


def import_pyplot():
    """matplotlib.pyplot, or an error that tells how to install it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Displays need matplotlib, which cannot be imported; run pip install skdiffrec[plot]."
        ) from error
    return plt


def new_or_given_axes(ax, n_panels, size, *, stacked=False):
    """(list of Axes, whether they are new) for `n_panels` panels of `size` inches each.

    New panels are placed side by side or, if `stacked`, below each other with a shared x-axis.
    """
    plt = import_pyplot()
    if ax is None:
        rows, columns = (n_panels, 1) if stacked else (1, n_panels)
        _, axes = plt.subplots(
            rows,
            columns,
            sharex=stacked,
            squeeze=False,
            figsize=(columns * size[0], rows * size[1]),
            layout="constrained",
        )
        return list(axes.flat), True
    axes = list(np.asarray(ax, dtype=object).flat)
    if len(axes) != n_panels or not all(hasattr(each, "plot") for each in axes):
        what = "one matplotlib Axes" if n_panels == 1 else f"{n_panels} matplotlib Axes"
        kinds = sorted({type(each).__name__ for each in axes})
        raise ValueError(
            f"ax must be {what}, one for each panel, got {len(axes)} of type {', '.join(kinds)}. "
            f"Make them with plt.subplots(1, {n_panels}), or leave ax out."
        )
    return axes, False


def as_attribute(axes):
    """Axes as the attribute `ax_` of a display: one Axes, or an ndarray of several."""
    return axes[0] if len(axes) == 1 else np.array(axes, dtype=object)


def styled(artist, given, **defaults):
    """Keyword arguments for an artist class: `defaults`, overridden by the user's `given`."""
    from matplotlib.cbook import normalize_kwargs

    return {**defaults, **normalize_kwargs(given, artist)}


def styled_line(given, **defaults):
    """`styled` for a Line2D."""
    from matplotlib.lines import Line2D

    return styled(Line2D, given, **defaults)


def draw_legend(axes, new, n_columns):
    """Legend of the first panel's artists: above the panels of a new figure, else inside."""
    handles, labels = axes[0].get_legend_handles_labels()
    if new:
        axes[0].figure.legend(
            handles, labels, loc="outside upper center", ncols=n_columns, frameon=False
        )
    else:
        axes[0].legend(handles, labels, fontsize="small")


def mean_and_error(values):
    """Mean and 1.96 standard errors over the last axis, ignoring NaN.

    The mean is NaN without any value, the error is NaN with fewer than two.
    """
    values = np.asarray(values, dtype=np.float64)
    n = np.sum(~np.isnan(values), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(values, axis=-1) / n
        variance = np.nansum((values - mean[..., None]) ** 2, axis=-1) / (n - 1)
        return mean, BAND_FACTOR * np.sqrt(variance / n)


def metric_label(name):
    """Label of a metric: "nDCG@10" for "ndcg@10"."""
    metric, at, k = name.partition("@")
    words = metric.replace("_", " ")
    return _NAMES.get(metric, words[:1].upper() + words[1:]) + at + k
