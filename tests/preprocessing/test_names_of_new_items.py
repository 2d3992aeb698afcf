"""Names of items that nobody has met: `InteractionEncoder.add_items`."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skdiffrec.preprocessing import InteractionEncoder


@pytest.mark.parametrize(
    ("known", "new"),
    [
        ([5, 9], [7, 1]),
        (["b", "d"], ["c", "a", "a longer one, of more than sixteen"]),
        (pd.to_datetime(["2020-01-05", "2020-01-09"]), pd.to_datetime(["2020-01-07"])),
    ],
)
def test_ids_keep_their_type_and_are_found(known, new):
    encoder = InteractionEncoder().fit(pd.DataFrame({"user": range(len(known)), "item": known}))
    dtype = encoder.items_.dtype
    encoder.add_items(new)
    assert encoder.items_.dtype == dtype
    both = [*known, *new]
    assert_array_equal(encoder.item_index(both), np.arange(len(both)))
    events = pd.DataFrame({"user": [0] * len(both), "item": both})
    assert_array_equal(encoder.transform(events).toarray()[0], np.ones(len(both)))


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ("new", TypeError, "give ..new.. for one"),
        ([None], ValueError, "a missing one"),
        ([5], TypeError, "ids holds 5, but the items of fit are such as 'b'"),
        (["b"], ValueError, "'b', which is no new item"),
        (["x", "x"], ValueError, "'x', which is no new item"),
    ],
)
def test_bad_ids(ids, error, message):
    encoder = InteractionEncoder().fit(pd.DataFrame({"user": [0, 1], "item": ["b", "d"]}))
    with pytest.raises(error, match=message):
        encoder.add_items(ids)
    assert encoder.n_items_ == 2
