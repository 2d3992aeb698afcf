"""What parameters that several baselines share may be."""

import numbers

from .._utils.validation import VALUES, Interval, StrOptions

HISTORY_CONSTRAINTS = {
    "values": [StrOptions(set(VALUES))],
    "half_life": [Interval(numbers.Real, 0, None, closed="neither"), None],
}
