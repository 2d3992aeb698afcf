"""TableRecommender: an encoder and a recommender as one estimator of tables, in one file."""

import os
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils.validation import check_is_fitted

from .._utils import saving, tensor_file
from .._utils.fitted_state import replaced_at_once
from .._utils.flags import check_flag
from .._utils.tensor_file import PersistenceError
from .._utils.validation import HasMethods, check_k, fit_context, fitted_now
from ._batches import recommend_batches
from ._encoder import InteractionEncoder
from ._encoder_file import packed_encoder, unpacked_encoder
from ._histories import fitted_recommender
from ._identity import check_model_items, check_model_rows
from ._values import warn_of_other_values

_ONE_BATCH = 2**62
_PARTS = ("recommender", "encoder")


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

    Attributes
    ----------
    recommender_ : estimator
        The fitted recommender.
    encoder_ : InteractionEncoder
        The fitted encoder, with ``users_`` and ``items_``.

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
    }

    def __init__(self, recommender: Any, encoder: InteractionEncoder | None = None) -> None:
        self.recommender = recommender
        self.encoder = encoder

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
            Fitted; it holds the two objects themselves.

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
        model = cls(clone(recommender), clone(encoder))
        model.recommender_, model.encoder_ = recommender, encoder
        return model

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: object = None) -> Self:
        """Fit the encoder to a table, and the recommender to its matrix.

        Parameters
        ----------
        X : table
            One row per event, in any form that :class:`InteractionEncoder` reads.
        y : object, default=None
            Ignored, always.

        Returns
        -------
        self : object
            If fitting fails, the estimator is left as it was.

        Raises
        ------
        ValueError, TypeError
            As in `fit` of the encoder and of the recommender.

        Warns
        -----
        UserWarning
            If the encoder's matrix holds times, but `recommender` takes them for ones or weights,
            or weights that it takes for times.
        """
        encoder = InteractionEncoder() if self.encoder is None else clone(self.encoder)
        matrix = encoder.fit_transform(X)
        warn_of_other_values(encoder, self.recommender)
        recommender = clone(self.recommender).fit(matrix)
        with replaced_at_once(self) as new:
            new.recommender_, new.encoder_ = recommender, encoder
        return self

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
            the recommender, such as `guidance_scale`.

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
            Further arguments of :func:`recommend_batches`.

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
        return recommend_batches(self.recommender_, self.encoder_, X, **options)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean nDCG@10 of lists made from a table, evaluated on held-out events.

        Parameters
        ----------
        X : table
            Histories: whole ones, which `fit` need not have seen.
        y : table, default=None
            Later events of the same users. Items that a user has in `X` already are left out. None
            holds out what the recommender's `score` does: a fifth of every history, or with a
            `horizon` as many of the latest items.

        Returns
        -------
        ndcg : float

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As `transform` of the encoder and `score` of the recommender.
        """
        self = fitted_now(self)
        if y is None:
            return self.recommender_.score(self.encoder_.transform(X))
        history, users = self.encoder_._rows(X)
        holdout: Any = self.encoder_.transform(y, users=users)
        holdout = holdout - holdout.multiply(history != 0)
        holdout.eliminate_zeros()
        return self.recommender_.score(history, holdout)

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
            If a parameter or an id has no place in the file.
        OSError
            If the file cannot be written.
        """
        self = fitted_now(self)
        recommender = fitted_recommender(self.recommender_)
        if not hasattr(recommender, "_get_state"):
            raise PersistenceError(
                f"{type(recommender).__name__} cannot be saved in a file of this library. Derive "
                "it from skdiffrec.base.BaseRecommender, or use joblib."
            )
        include_data = check_flag("include_data", include_data)
        parts = saving.packed_model(recommender, include_data), packed_encoder(self.encoder_)
        saving.with_parameters(type(recommender), parts[0][0]["parameters"])
        record: dict[str, Any] = {"class": type(self).__name__}
        tensors: dict[str, Any] = {}
        for part, (own, arrays) in zip(_PARTS, parts, strict=True):
            record[part] = own
            tensors |= {f"{part}.{name}": array for name, array in arrays.items()}
        tensor_file.write(path, record, tensors)

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


def table_recommender_of_file(cls, path, record, tensors, device, recommender_class=None):
    """The `TableRecommender` in what was read from a file; errors name the file."""
    with tensor_file.named(path):
        record = {k: v for k, v in record.items() if not k.endswith("_version")}
        saving.check_class(cls, record)
        schema = dict.fromkeys(_PARTS, lambda value: isinstance(value, dict))
        tensor_file.check_record(record, schema | {"class": bool}, "encoder and recommender")
        arrays: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
        for name, array in tensors.items():
            part, _, own = name.partition(".")
            if part not in arrays:
                raise PersistenceError(f"It has a tensor of no use: {name!r:.100}.")
            arrays[part][own] = array
        name = str(record["recommender"].get("class"))
        known = recommender_class or saving.library_class(name)
        recommender = saving.unpacked_model(
            known, record["recommender"], arrays["recommender"], device
        )
        encoder = unpacked_encoder(InteractionEncoder, record["encoder"], arrays["encoder"])
        try:
            return cls.from_fitted(recommender, encoder)
        except ValueError as error:
            raise PersistenceError(str(error)) from None
