"""scikit-learn's callbacks (from 1.9 on) around the epochs of a fit."""

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


class EpochCallbacks:
    """The callbacks of an estimator, which are called at its fit and at every epoch.

    Parameters
    ----------
    estimator : estimator
    max_epochs : int
    X, y : object
        What they score on where no items are held out: what `fit` was given.
    """

    def __init__(self, estimator, max_epochs, X, y):
        self.estimator = estimator
        self.data, self.fit_context, self.epoch_context = {"X": X, "y": y}, None, None
        if hasattr(estimator, "_init_callback_context"):
            self.fit_context = estimator._init_callback_context(max_subtasks=max_epochs)
            self.fit_context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def begin_epoch(self):
        """Before an epoch."""
        if self.fit_context is not None:
            self.epoch_context = self.fit_context.subcontext(task_name="epoch")
            self.epoch_context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end_epoch(self, held_out, model):
        """After an epoch; true if one of them wants training to end.

        Parameters
        ----------
        held_out : tuple of 2 csr_arrays or None
            Histories and held-out items of early stopping: what a monitor scores on, if there are
            any.
        model : callable
            ``model() -> FittedModel`` as if training ended now; called where a callback asks.
        """
        if self.epoch_context is None:
            return False
        data = self.data if held_out is None else dict(zip("Xy", held_out, strict=True))
        return self.epoch_context.call_on_fit_task_end(
            estimator=self.estimator,
            reconstruction_attributes=lambda: model().attributes(),
            **data,
        )

    def end(self):
        """After the fit."""
        if self.fit_context is not None:
            self.fit_context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes={}, **self.data
            )
