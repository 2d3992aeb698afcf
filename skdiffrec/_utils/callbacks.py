"""scikit-learn's callbacks (from 1.9 on) around the epochs of a fit."""

import sys
from typing import TYPE_CHECKING, Self

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


def inside_search():
    """Whether a search or cross-validation, ours or scikit-learn's, called for the present fit.

    Nothing but the stack tells: contexts of callbacks know of pipelines too, and not of
    `cross_validate`.
    """
    frame = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(("sklearn.model_selection.", "skdiffrec.model_selection.")):
            return True
        frame = frame.f_back
    return False


class EpochCallbacks:
    """The callbacks of an estimator, which hear of its fit and of every epoch.

    `keep_interrupted` says whether Ctrl-C may end training and keep what there is: not inside a
    search, which would go on to its next fit.

    Parameters
    ----------
    estimator : estimator
    max_epochs : int
    X, y : object
        What they score on where no items are hidden: what `fit` was given.
    attributes : callable
        ``attributes(model) -> dict`` of fitted attributes.
    """

    def __init__(self, estimator, max_epochs, X, y, attributes):
        self.estimator, self.attributes = estimator, attributes
        self.keep_interrupted = not inside_search()
        self.data, self.fit_context, self.epoch_context = {"X": X, "y": y}, None, None
        if hasattr(estimator, "_init_callback_context"):
            self.fit_context = estimator._init_callback_context(max_subtasks=max_epochs)
            self.fit_context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def begin_epoch(self):
        """Before an epoch."""
        if self.fit_context is not None:
            self.epoch_context = self.fit_context.subcontext(task_name="epoch")
            self.epoch_context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end_epoch(self, hidden, model):
        """After an epoch; true if one of them wants training to end.

        Parameters
        ----------
        hidden : tuple of 2 csr_arrays or None
            Histories and hidden items of early stopping: what a monitor scores on, if there are any
        model : callable
            ``model() -> FittedModel`` as if training ended now; called where a callback asks.
        """
        if self.epoch_context is None:
            return False
        data = self.data if hidden is None else dict(zip("Xy", hidden, strict=True))
        return self.epoch_context.call_on_fit_task_end(
            estimator=self.estimator,
            reconstruction_attributes=lambda: self.attributes(model()),
            **data,
        )

    def end(self):
        """After the fit."""
        if self.fit_context is not None:
            self.fit_context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes={}, **self.data
            )
