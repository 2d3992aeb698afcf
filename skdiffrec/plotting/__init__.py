"""Displays, the scikit-learn way: ``from_*`` computes and plots, the object keeps the data.

===============================  ==================================================================
:class:`GuidanceCurveDisplay`    metrics against the guidance scale
:class:`TrainingCurveDisplay`    loss and validation nDCG by epoch
:class:`ActivityDisplay`         quality by length of the history, for several scales or models
:class:`DenoisingDisplay`        one user's list along the sampling steps
:class:`TopKCalibrationDisplay`  shares and spread of draws against what users took
===============================  ==================================================================

Each has ``plot(ax=None, ...)``, which draws again from the stored data and returns the display,
with the axes in ``ax_`` and the figure in ``figure_``. They need matplotlib, which comes with
``pip install skdiffrec[plot]``. Bands are the mean ± 1.96 standard errors.
"""

from ._activity import ActivityDisplay
from ._calibration import TopKCalibrationDisplay
from ._denoising import DenoisingDisplay
from ._guidance import GuidanceCurveDisplay
from ._training_curve import TrainingCurveDisplay

__all__ = [
    "ActivityDisplay",
    "DenoisingDisplay",
    "GuidanceCurveDisplay",
    "TopKCalibrationDisplay",
    "TrainingCurveDisplay",
]
