"""Displays, as in scikit-learn: ``from_*`` computes and plots, the object stores the data.

===============================  ==================================================================
:class:`GuidanceCurveDisplay`    metrics against the guidance scale
:class:`TrainingCurveDisplay`    loss and validation nDCG by epoch
:class:`ActivityDisplay`         a metric by length of the history, for several scales or models
:class:`DenoisingDisplay`        one user's list after each sampling step
:class:`SteeringDisplay`         one user's list by the scale of each condition; a page to try
:class:`TopKCalibrationDisplay`  top-k shares and spread of sampled scores against held-out items
===============================  ==================================================================

Each has ``plot(ax=None, ...)``, which draws the stored data again and returns the display, with the
axes in ``ax_`` and the figure in ``figure_``. Displays need matplotlib, which
``pip install skdiffrec[plot]`` installs. Bands show the mean ± 1.96 standard errors.
"""

from ._activity import ActivityDisplay
from ._calibration import TopKCalibrationDisplay
from ._denoising import DenoisingDisplay
from ._guidance import GuidanceCurveDisplay
from ._steering import SteeringDisplay
from ._training_curve import TrainingCurveDisplay

__all__ = [
    "ActivityDisplay",
    "DenoisingDisplay",
    "GuidanceCurveDisplay",
    "SteeringDisplay",
    "TopKCalibrationDisplay",
    "TrainingCurveDisplay",
]
