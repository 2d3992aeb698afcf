"""Warnings that name the line which called the library, however deep they come from."""

import os
import sys
import warnings

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# what stands between a caller and the library: decorators of scikit-learn, torch and Python
_BETWEEN = ("sklearn/base.py", "torch/utils/_contextlib.py", "/contextlib.py", "/functools.py")


def warn_caller(message):
    """A UserWarning of the first line outside of the library, so that each is shown once."""
    level, frame = 1, sys._getframe()
    while frame is not None and _is_own(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


def _is_own(filename):
    return filename.startswith((_OWN, "<frozen")) or filename.replace(os.sep, "/").endswith(
        _BETWEEN
    )
