"""TableRecommender: an encoder and a recommender as one estimator of tables, in one file."""

import os
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils.validation import check_is_fitted

from .._utils import tensor_file
from .._utils.condition_names import USER_FEATURES, WANTED
from .._utils.fitted_state import replaced_at_once
from .._utils.flags import check_flag
from .._utils.validation import HasMethods, check_k, fit_context, fitted_now
from ._batches import recommend_batches
from ._encoder import InteractionEncoder
from ._features import (
    ITEM_FEATURES,
    FeatureTable,
    check_takes_user_features,
    in_order_of,
    set_item_features,
    tables_by_id,
    without_item_features,
)
from ._identity import check_model_items, check_model_rows
from ._table_recommender_file import packed_table_recommender, table_recommender_of_file
from ._values import warn_of_other_values

_ONE_BATCH = 2**62


# scikit-learn has no types, so mypy knows nothing of the classes.
class TableRecommender(MetaEstimatorMixin, BaseEstimator):
    """Recommend from tables of events, with names in and names out.

    An encoder and a recommender in one object and one file. `fit` fits both to the same table, so a
    list cannot stand beside another user's name.

    Parameters
    ----------
    recommender : estimator
        Any recommender of this library, or one with its methods. It is cloned; set its ``values``
        to what the matrix of `encoder` holds.
    encoder : InteractionEncoder, default=None
        Says what the columns are. It is cloned. None means ``InteractionEncoder()``: columns user
        and item.
    user_transformer : transformer, default=None
        Makes numbers of tables of `user_features`, such as a ``ColumnTransformer`` that encodes
        texts and categories. It is cloned, and fitted to the rows of users in `fit`. None means
        that the tables hold numbers.

    Attributes
    ----------
    recommender_ : estimator
        The fitted recommender.
    encoder_ : InteractionEncoder
        The fitted encoder, with ``users_`` and ``items_``.
    user_transformer_ : transformer or None
        The fitted transformer; None without `user_features` or `user_transformer`.

    See Also
    --------
    recommend_batches : The same for an encoder and a model that stand alone.

    Examples
    --------
    >>> from skdiffrec.baselines import PopularityRecommender
    >>> from skdiffrec.preprocessing import TableRecommender
    >>> events = [("ann", "tea"), ("ann", "jam"), ("bob", "jam"), ("eve", "rye")]
    >>> model = TableRecommender(PopularityRecommender()).fit(events)
    >>> model.recommend(["bob"], k=2)["item"].tolist()
    ['rye', 'tea']
    >>> model.recommend(X=[("bob", "rye"), ("zoe", "jam")], k=1)["item"].tolist()
    ['tea', 'rye']
    """

    _parameter_constraints = {
        "recommender": [HasMethods(["fit", "recommend"])],
        "encoder": [InteractionEncoder, None],
        "user_transformer": [HasMethods(["fit_transform", "transform"]), None],
    }

    def __init__(
        self,
        recommender: Any,
        encoder: InteractionEncoder | None = None,
        *,
        user_transformer: Any = None,
    ) -> None:
        self.recommender = recommender
        self.encoder = encoder
        self.user_transformer = user_transformer

    def set_params(self, **params: Any) -> Self:
        """Set parameters; those of a fitted recommender change with ``recommender__`` ones.

        So what matters after `fit`, such as ``recommender__guidance_scale``, acts at once.

        Parameters
        ----------
        **params
            As in :meth:`sklearn.base.BaseEstimator.set_params`.

        Returns
        -------
        self : TableRecommender
        """
        super().set_params(**params)
        prefix, fitted = "recommender__", getattr(self, "recommender_", None)
        own = {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}
        if fitted is not None and own and "recommender" not in params:
            fitted.set_params(**own)
        return self

    @classmethod
    def from_fitted(cls, recommender: Any, encoder: InteractionEncoder) -> Self:
        """Put together a recommender and an encoder that are fitted already.

        Parameters
        ----------
        recommender : estimator
            Fitted to the matrix of `encoder`.
        encoder : InteractionEncoder
            Fitted.

        Returns
        -------
        model : TableRecommender
            Fitted; it holds the two objects themselves. Its parameter `recommender` is a clone
            without `item_features`, which are those of the items of one fit: `fit` takes new ones.

        Raises
        ------
        NotFittedError
            If one of the two is not fitted.
        ValueError
            If the recommender was fitted to another number of rows or columns than the encoder has
            users and items, to its rows in another order, or to rows most of which are not those
            of its users: they hold items that their user has not, and lack items that it has.
            A few wrong rows are not found out; `fit` of this class rules them out.
        """
        check_is_fitted(recommender)
        check_is_fitted(encoder)
        check_model_items(encoder, recommender)
        check_model_rows(encoder, recommender)
        model = cls(without_item_features(recommender), clone(encoder))
        model.recommender_, model.encoder_, model.user_transformer_ = recommender, encoder, None
        return model

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: object = None,
        *,
        user_features: Any = None,
        item_features: Any = None,
    ) -> Self:
        """Fit the encoder to a table, and the recommender to its matrix.

        Parameters
        ----------
        X : table
            One row per event, in any form that :class:`InteractionEncoder` reads.
        y : object, default=None
            Ignored, always.
        user_features : DataFrame of pandas or polars or pyarrow Table, default=None
            What is known of users besides: one row for each, in any order, with the ids in the
            column that `encoder` names. Users without a row are users of whom nothing is known;
            rows of others are left out. Columns must be numbers unless there is a
            `user_transformer`, without missing ones.
        item_features : DataFrame of pandas or polars or pyarrow Table, default=None
            The same for items, of numbers: the parameter `item_features` of the recommender, in
            the order of the matrix's columns, whose names are those that `wanted` can ask for.

        Returns
        -------
        self : object
            If fitting fails, the estimator is left as it was.

        Raises
        ------
        ValueError, TypeError
            As in `fit` of the encoder and of the recommender; if a table of features has no column
            of the ids, an id twice, no row of anybody in `X`, or values that are no numbers; if the
            recommender does not read such features.

        Warns
        -----
        UserWarning
            If the encoder's matrix holds times, but `recommender` takes them for ones or weights,
            or weights that it takes for times or, with nothing else to read them, for ones.
        """
        encoder = InteractionEncoder() if self.encoder is None else clone(self.encoder)
        matrix = encoder.fit_transform(X)
        warn_of_other_values(encoder, self.recommender)
        recommender, transformer = clone(self.recommender), None
        known: dict[str, Any] = {}
        if item_features is not None:
            table = FeatureTable(ITEM_FEATURES, item_features, encoder.item)
            set_item_features(recommender, table.of_fit(encoder._items))
        if user_features is not None:
            check_takes_user_features(recommender)
            transformer = None if self.user_transformer is None else clone(self.user_transformer)
            transform = None if transformer is None else transformer.fit_transform
            table = FeatureTable(USER_FEATURES, user_features, encoder.user, transform)
            known[USER_FEATURES] = table.of_fit(encoder._users)
        recommender.fit(matrix, **known)
        with replaced_at_once(self) as new:
            new.recommender_, new.encoder_ = recommender, encoder
            new.user_transformer_ = transformer
        return self

    def _by_id(self, options):
        """Options in which data frames of features are read by id, by the fitted transformer."""
        transform = None if self.user_transformer_ is None else self.user_transformer_.transform
        return tables_by_id(options, self.encoder_.user, transform)

    def _known_of_rows(self, users, known):
        """What is known of users, in their order, of tables by id."""
        return in_order_of(users, self._by_id(known), self.encoder_.user)

    def recommend(
        self, users: ArrayLike | None = None, k: int = 10, *, X: Any = None, **options: Any
    ) -> Any:
        """Recommend items to users, as one table.

        Parameters
        ----------
        users : array-like of ids or one id, default=None
            Users to recommend to, in this order. None means all users of `X` or, without `X`, of
            `fit`.
        k : int, default=10
            Length of the lists.
        X : table, default=None
            Events since `fit`; users may be new.
        **options
            Further arguments of :func:`recommend_batches`: `history`, ``unknown_users="popular"``,
            `items`, `filter_items`, `blocked`, `allowed`, `unknown_names`; and of ``recommend`` of
            the recommender, such as `guidance_scale`. `user_features` is a table as in `fit`, in
            which users without a row have no features, or a matrix of numbers with one row for
            each of `users`; without it users have those of `fit`. `wanted` may be a table by user.

        Returns
        -------
        table : table of the library that `fit` was given
            Columns user, rank, item and score; without rows if there are no users.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As :func:`recommend_batches`.
        """
        self = fitted_now(self)
        batches = self.recommend_batches(X, users=users, k=k, batch_size=_ONE_BATCH, **options)
        for table in batches:
            return table
        nothing = np.empty((0, check_k(k)), np.int64), np.empty((0, k), np.float32)
        return self.encoder_.inverse_transform(*nothing, users=self.encoder_._users[:0])

    def recommend_batches(self, X: Any = None, **options: Any) -> Iterator[Any]:
        """Recommend items to many users, as a sequence of tables of limited size.

        Parameters
        ----------
        X : table, default=None
            Events since `fit`; users may be new.
        **options
            Further arguments of :func:`recommend_batches`; tables of features as in `recommend`.

        Yields
        ------
        table : table of the library that `fit` was given
            Columns user, rank, item and score.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As :func:`recommend_batches`.
        """
        self = fitted_now(self)
        return recommend_batches(self.recommender_, self.encoder_, X, **self._by_id(options))

    def score(
        self, X: Any, y: Any = None, *, user_features: Any = None, wanted: Any = None
    ) -> float:
        """Mean nDCG@10 of lists made from a table, evaluated on held-out events.

        Parameters
        ----------
        X : table
            Histories: whole ones, which `fit` need not have seen.
        y : table, default=None
            Later events of the same users. Items that a user has in `X` already are left out. None
            holds out what the recommender's `score` does: a fifth of every history, or with a
            `horizon` as many of the latest items.
        user_features, wanted
            As in `recommend`: tables by user, or what `score` of the recommender takes. None means
            that nothing is known, or wanted.

        Returns
        -------
        ndcg : float

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As `transform` of the encoder and `score` of the recommender.
        """
        self = fitted_now(self)
        history, users = self.encoder_._rows(X)
        given = {USER_FEATURES: user_features, WANTED: wanted}
        given = {name: value for name, value in given.items() if value is not None}
        known = self._known_of_rows(users, given)
        if y is None:
            return self.recommender_.score(history, **known)
        holdout: Any = self.encoder_.transform(y, users=users)
        holdout = holdout - holdout.multiply(history != 0)
        holdout.eliminate_zeros()
        return self.recommender_.score(history, holdout, **known)

    def save(self, path: str | os.PathLike[str], *, include_data: bool = True) -> None:
        """Save encoder and recommender as one safetensors file, without pickle.

        The file appears at once, when it is complete; if saving fails, what was there before
        stays.

        Parameters
        ----------
        path : str or os.PathLike
        include_data : bool, default=True
            Whether to save the histories of `fit` too. Without them `recommend` needs whole
            histories after loading, with ``history="replace"``. The ids of all users are saved.

        Raises
        ------
        NotFittedError
            Before `fit`.
        PersistenceError
            If a parameter or an id has no place in the file; a `user_transformer` has none. If the
            recommender has other users or items than the encoder by now, as after its
            `partial_fit` or `add_items` alone.
        OSError
            If the file cannot be written.
        """
        self = fitted_now(self)
        include_data = check_flag("include_data", include_data)
        tensor_file.write(path, *packed_table_recommender(self, include_data))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        device: Any = "auto",
        *,
        recommender_class: type | None = None,
    ) -> Self:
        """Load what `save` wrote.

        Nothing in the file is executed, and it is checked before it is used.

        Parameters
        ----------
        path : str or os.PathLike
        device : str or torch.device, default="auto"
            Where to compute, for a recommender that uses torch.
        recommender_class : class, default=None
            The class of the recommender, if it is one of your own.

        Returns
        -------
        model : TableRecommender
            Fitted; its lists are those of the one that was saved.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        PersistenceError
            A ValueError that says why a file is refused.
        ValueError
            If `device` is none that this machine has.
        """
        record, tensors = tensor_file.read(path)
        return table_recommender_of_file(cls, path, record, tensors, device, recommender_class)
