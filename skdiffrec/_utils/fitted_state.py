"""An estimator that is fitted in one thread and asked in others: old or new, never a mixture.

A fit works on a copy, whose `__dict__` takes the place of the estimator's in one assignment. Who
asks holds one `__dict__` from the beginning to the end.
"""

import copy
from contextlib import contextmanager

from .callbacks import CALLBACK_STATE


@contextmanager
def replaced_at_once(estimator):
    """A copy to be fitted; all that it has learned is the estimator's at the end, or nothing.

    Parameters that are set meanwhile stay as they were set.
    """
    new = copy_of(estimator)
    try:
        yield new
    except BaseException:
        # scikit-learn ends its callbacks by what it keeps here
        kept = {name: vars(new)[name] for name in CALLBACK_STATE if name in vars(new)}
        estimator.__dict__.update(kept)
        raise
    parameters = {name: getattr(estimator, name) for name in estimator._get_param_names()}
    estimator.__dict__ = new.__dict__ | parameters


def copy_of(estimator):
    """A shallow copy; `__getstate__`, which `copy.copy` calls, may convert what it stores."""
    if hasattr(type(estimator), "__copy__"):
        return copy.copy(estimator)
    new = object.__new__(type(estimator))
    new.__dict__ = estimator.__dict__.copy()
    return new
