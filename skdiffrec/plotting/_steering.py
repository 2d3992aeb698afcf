"""One user's list as the guidance scale of each condition moves: a picture, and a page to try."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._utils.condition_names import WANTED
from .._utils.tensor_file import replacing
from .._utils.typing import ArrayLike, AxesLike, FloatArray, IntArray, MatrixLike, Names
from .._utils.typing import Wanted as WantedFeatures
from .._utils.validation import check_condition_scales, check_k, check_scales
from ._axes import COLORS, as_attribute, import_pyplot, new_or_given_axes
from ._evaluation import require, unwrap
from ._steering_page import page

SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
_MAX_ITEMS = 2000  # of the page, but for those that a wanted feature can bring
_MOST_ITEMS = 4 * _MAX_ITEMS
_WANTED_SCALES = (1.0, 8.0)  # with the best of which the slider's others are covered
_LABEL = 28  # characters of a name in the picture


class SteeringDisplay:
    """One user's list, by the guidance scale of each condition.

    A score is what is popular plus what each condition adds, times its scale. The display holds
    these parts for the items that can come into the list: `plot` draws which items stand where
    as one scale moves and the others are 1, `to_html` writes a page with a slider for each.

    Parameters
    ----------
    items : ndarray of int64, shape (n_items,)
        Ids of the items.
    base : ndarray of float32, shape (n_items,)
        Scores at all scales of 0.
    parts : dict of str to ndarray of float32, shape (n_items,)
        What each condition adds to the scores at scale 1, in the order of the chain.
    scales : dict of str to array-like of float
        Scales of each condition that are drawn; the page's sliders go from the least to the
        greatest, and to 1 in any case.
    k : int, default=10
        Length of the list.
    names : sequence of str, default=None
        Of the items; None is their ids.
    features : csr_array of shape (n_items, n_features), default=None
        What a wanted feature adds to the scores at scale 1, by feature.
    feature_names : sequence of str, default=None
    title : str, default="One user's list"
        Of the page.

    Attributes
    ----------
    ax_ : Axes, or ndarray of Axes
        One for each condition.
    figure_ : Figure

    Examples
    --------
    >>> from skdiffrec import CFGDiffusionRecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> from skdiffrec.plotting import SteeringDisplay
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
    >>> model.fit(data.train, user_features=data.user_features)
    CFGDiffusionRecommender(hidden_dims=(64, 64), max_epochs=3, random_state=0)
    >>> display = SteeringDisplay.from_estimator(model, 5, names=data.item_names, k=5)
    >>> list(display.parts)
    ['user_features', 'history']
    >>> display.list_at({"user_features": 3.0}).shape
    (5,)
    """

    def __init__(
        self,
        *,
        items: IntArray,
        base: FloatArray,
        parts: Mapping[str, FloatArray],
        scales: Mapping[str, ArrayLike],
        k: int = 10,
        names: Sequence[str] | None = None,
        features: csr_array | None = None,
        feature_names: Sequence[str] | None = None,
        title: str = "One user's list",
    ) -> None:
        self.items, self.base, self.parts = items, base, parts
        self.scales, self.k, self.names = scales, k, names
        self.features, self.feature_names, self.title = features, feature_names, title

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        user: int | None = None,
        *,
        X: MatrixLike | None = None,
        user_features: MatrixLike | None = None,
        wanted: WantedFeatures | None = None,
        scales: Mapping[str, ArrayLike] | None = None,
        k: int = 10,
        names: Any = None,
        ax: AxesLike | None = None,
    ) -> Self:
        """Take a user's scores apart, and plot them.

        Parameters
        ----------
        estimator : estimator
            A fitted `CFGDiffusionRecommender`, or a search or `Pipeline` that ends in one.
        user : int, default=None
            Row of the matrix given to `fit`; None is the one row of `X`.
        X : {array-like, sparse matrix, sparse array} of shape (1, n_items), default=None
            A history. What it holds is not listed.
        user_features, wanted
            As in `recommend`.
        scales : array-like of float, or dict of str to such, default=None
            For each condition that is known of the user, or by condition. None is 0, 0.5, 1, 1.5,
            2, 3 and 4.
        k : int, default=10
            Length of the list.
        names : InteractionEncoder or sequence of str, default=None
            Names of the items.
        ax : Axes or sequence of Axes, default=None
            One for each condition; None creates a new figure.

        Returns
        -------
        display : SteeringDisplay
            The display, plotted.

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, TypeError, IndexError
            If there is no such user or more than one, nothing is known of them, `scales` names a
            condition that the model has not, or the model takes several sampling steps, where
            scores are no sums.
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()
        check_is_fitted(estimator)
        model, X = unwrap(estimator, X)
        require(model, "score_parts", "which takes scores apart")
        if model.n_sampling_steps > 1 or model.temperature:
            raise ValueError(
                f"n_sampling_steps={model.n_sampling_steps} and temperature={model.temperature}: "
                "scores are sums of parts after one step without noise. Use set_params("
                "n_sampling_steps=1, temperature=0)."
            )
        rows = model._one_row(user, X, user_features, wanted)
        given = {"X": X, "user_features": user_features, "wanted": wanted}
        found = model.score_parts(user, **given)
        every = {name: np.ravel(lift) for name, lift in found.lifts.items()}
        known = [name for name in every if rows.known(name)[0]]
        if not known:
            raise ValueError("Nothing is known of this user: the list is what is popular.")
        shown = _shown_scales(scales, known)
        model._scales(1, dict.fromkeys(shown, 1.0))  # an error for what the model has not
        base, seen = np.ravel(found.unconditional), rows.seen.indices
        features = {} if WANTED in known else _features_of(model)
        items = _candidates(base, every, seen, check_k(k), features.get("features"))
        if features:
            features["features"] = features["features"][items]
        item_names = None if names is None else _names_of(names, items, len(base))
        display = cls(
            items=items,
            base=base[items],
            parts={name: lift[items] for name, lift in every.items()},
            scales={name: np.asarray(shown[name], float) for name in every if name in shown},
            k=int(k),
            names=item_names,
            title="One user's list" if user is None else f"List of user {user}",
            **features,
        )
        return display.plot(ax)

    def scores_at(self, scales: float | Mapping[str, float] = 1.0) -> FloatArray:
        """Scores of the items at given scales.

        Parameters
        ----------
        scales : float or dict of float, default=1.0
            One for all conditions, or by condition, where those not named are 1.

        Returns
        -------
        scores : ndarray of float32, shape (n_items,)

        Raises
        ------
        ValueError, TypeError
            As `recommend` for its `guidance_scale`.
        """
        found = check_condition_scales(scales, 1, tuple(self.parts))[0]
        scores = self.base.astype(np.float64)
        for scale, part in zip(found, self.parts.values(), strict=True):
            scores = scores + scale * part
        return scores.astype(np.float32)

    def list_at(self, scales: float | Mapping[str, float] = 1.0) -> IntArray:
        """The list at given scales.

        Parameters
        ----------
        scales : float or dict of float, default=1.0
            As in `scores_at`.

        Returns
        -------
        ids : ndarray of int64, shape (k,), or as many as there are items
            Best first, as from `recommend`.

        Raises
        ------
        ValueError, TypeError
            As `recommend` for its `guidance_scale`.
        """
        order = np.lexsort((self.items, -self.scores_at(scales)))
        return self.items[order[: self.k]]

    def plot(self, ax: AxesLike | None = None) -> Self:
        """Draw the places of the items as each scale moves and the others are 1.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One for each condition; None creates a new figure.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the numbers of axes and conditions differ.
        ImportError
            If matplotlib is not installed.
        """
        axes, _ = new_or_given_axes(ax, len(self.scales), (6.2, 0.34 * self.k + 1.4))
        for panel, condition in zip(axes, self.scales, strict=True):
            self._plot_panel(panel, condition)
        self.ax_, self.figure_ = as_attribute(axes), axes[0].figure
        return self

    def _plot_panel(self, panel, condition):
        scales = np.sort(np.asarray(self.scales[condition], float))
        lists = np.array([self.list_at({condition: scale}) for scale in scales])
        plain = self.list_at()
        for item in np.unique(lists):
            rows, places = np.nonzero(lists == item)
            place = np.full(len(scales), np.nan)
            place[rows] = places + 1
            stays = item in plain
            color = COLORS[0] if stays else COLORS[1]
            panel.plot(scales, place, "o-", color=color, alpha=0.75, markersize=4)
            last = rows.max()
            panel.annotate(
                self._name(item)[:_LABEL],
                (scales[last], place[last]),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize="small",
                color=color,
                annotation_clip=False,
            )
        panel.axvline(1.0, color="0.45", linestyle=":", linewidth=1.2)
        panel.set(xlabel=f"Guidance scale of {condition!r}", ylabel="Place in the list")
        panel.set_ylim(self.k + 0.6, 0.4)
        panel.set_xlim(scales[0], scales[-1] + 0.45 * (scales[-1] - scales[0]))

    def _name(self, item):
        place = int(np.flatnonzero(self.items == item)[0])
        return f"item {item}" if self.names is None else str(self.names[place])

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write one page with a slider for each condition, for any browser and without a network.

        It shows the list at the sliders' scales, what entered and left since all of them were 1,
        and the parts of each score; of a model with `item_features` there is a field for what is
        wanted.

        Parameters
        ----------
        path : str or os.PathLike
            Of the file, which appears when it is complete.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        text = page(
            self.title,
            [self._name(item) for item in self.items],
            self.items,
            self.base,
            self.parts,
            {name: _range_of(values) for name, values in self.scales.items()},
            self.k,
            self.features,
            self.feature_names,
        )
        with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.write(text)


def _shown_scales(scales, known):
    """Scales to be shown by condition, checked; of those that are known where none are named."""
    shown = SCALES if scales is None else scales
    if not isinstance(shown, Mapping):
        shown = dict.fromkeys(known, shown)
    if not shown:
        raise ValueError("scales is an empty dict; give for example {'history': [0.5, 1.0, 1.5]}.")
    return {name: check_scales(several) for name, several in shown.items()}


def _range_of(scales):
    """(least, largest) of a slider, on whose grid of twentieths 1 is."""
    low, high = min(np.min(scales), 1.0), max(np.max(scales), 1.0)
    return float(np.floor(20 * low) / 20), float(np.ceil(20 * high) / 20)


def _candidates(base, parts, seen, k, features):
    """Ids of unseen items, ascending: all, or those that are best by some mixture of the parts.

    With `features`, what each adds for who wants it, those too that are best with it.
    """
    unseen = np.setdiff1d(np.arange(len(base)), seen)
    if len(unseen) <= _MAX_ITEMS:
        return unseen
    total = base + sum(parts.values())
    parts = [part for part in parts.values() if part.any()]
    each = max(k, _MAX_ITEMS // (2 * len(parts) + 2))
    mixtures = (base, total, *parts, *(total + 3 * part for part in parts))
    chosen = np.zeros(len(base), bool)
    for part in mixtures:
        chosen[_best_of(unseen, part, each)] = True
    if features is None:
        return np.flatnonzero(chosen)
    by_feature, listable = features.tocsc(), np.zeros(len(base), bool)
    listable[unseen] = True
    for j in np.argsort(-np.diff(by_feature.indptr), kind="stable"):
        if chosen.sum() > _MOST_ITEMS:
            break
        entries = slice(*by_feature.indptr[j : j + 2])
        own, added = by_feature.indices[entries], by_feature.data[entries]
        own, added = own[listable[own]], added[listable[own]]
        for scale in _WANTED_SCALES:
            for part in (base, total):
                chosen[own[_best_of(np.arange(len(own)), part[own] + scale * added, k)]] = True
    return np.flatnonzero(chosen)


def _best_of(places, scores, n):
    return places[np.argsort(-scores[places], kind="stable")[:n]]


def _names_of(names, items, n_items):
    """Names of some items, given an encoder or those of all."""
    if hasattr(names, "item_names"):
        n_named = names.n_items_
        names = names.items_
    else:
        n_named, names = np.shape(names)[:1], np.asarray(names)
        n_named = n_named[0] if names.ndim == 1 else names.shape
    if n_named != n_items:
        raise ValueError(
            f"names has {n_named} entries for {n_items} items. Give an encoder, or a sequence of "
            "one name for each item."
        )
    return [str(name) for name in names[items]]


def _features_of(model: Any) -> dict[str, Any]:
    """What wanted features add to the scores of all items, by the names of the display."""
    wanted = model._model.tables().scores.wanted
    if wanted is None:
        return {}
    names: Names | None = model._model.item_feature_names
    added = csr_array(wanted.by_feature.T * np.float32(wanted.unit))
    return {"features": added, "feature_names": None if names is None else list(names)}
