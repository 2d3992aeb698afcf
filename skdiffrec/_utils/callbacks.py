"""scikit-learn's callbacks (from 1.9 on) around the epochs of a fit."""

from typing import TYPE_CHECKING, Self

from .condition_names import USER_FEATURES

if TYPE_CHECKING:

    class CallbackSupportMixin:
        def set_callbacks(self, *callbacks: object) -> Self: ...
else:
    try:
        from sklearn.callback import CallbackSupportMixin
    except ImportError:  # scikit-learn < 1.9

        class CallbackSupportMixin:
            """No callbacks."""


# what scikit-learn keeps in an estimator while it is fitted, to end its callbacks by
CALLBACK_STATE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")


def _arguments(X, y, user_features):
    """Those of callbacks."""
    known = None if user_features is None else {USER_FEATURES: user_features}
    return {"X": X, "y": y, "metadata": known}


class EpochCallbacks:
    """The callbacks of an estimator, which are called at its fit and at every epoch.

    Parameters
    ----------
    estimator : estimator
    max_epochs : int
    X, y : object
        What they score on where no items are held out: what `fit` was given.
    user_features : csr_array or None
        Of the rows of X: metadata, which scorers are given beside X and y.
    """

    def __init__(self, estimator, max_epochs, X, y, user_features=None):
        self.estimator, self.data = estimator, _arguments(X, y, user_features)
        self.shown = self.data
        self.fit_context = self.epoch_context = None
        if hasattr(estimator, "_init_callback_context"):
            self.fit_context = estimator._init_callback_context(max_subtasks=max_epochs)
            self.fit_context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def begin_epoch(self):
        """Before an epoch."""
        if self.fit_context is not None:
            self.epoch_context = self.fit_context.subcontext(task_name="epoch")
            self.epoch_context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def hold_out(self, history, holdout, user_features, numbers=None):
        """Let them score on held-out items.

        Parameters
        ----------
        history, holdout : csr_array of shape (n, n_items)
        user_features : csr_array of shape (n, n_user_features) or None
        numbers : ndarray of int, shape (n,), default=None
            Where values are ratings, of which `history` and `holdout` hold what is liked: the rows
            of X, since a model asks of ratings what is liked.
        """
        if numbers is not None:
            given = self.data["X"][numbers]
            holdout = given.multiply(holdout != 0).tocsr()
            history = given - holdout
            history.eliminate_zeros()
        self.shown = _arguments(history, holdout, user_features)

    def end_epoch(self, model):
        """After an epoch; true if one of them wants training to end.

        Parameters
        ----------
        model : callable
            ``model() -> FittedModel`` as if training ended now; called where a callback asks.
        """
        if self.epoch_context is None:
            return False
        return self.epoch_context.call_on_fit_task_end(
            estimator=self.estimator,
            reconstruction_attributes=lambda: model().attributes(),
            **self.shown,
        )

    def end(self):
        """After the fit."""
        if self.fit_context is not None:
            self.fit_context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes={}, **self.data
            )
