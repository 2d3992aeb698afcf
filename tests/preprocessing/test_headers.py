"""A header among rows without names is refused; ids that only look like one are not."""

import csv
import io

import numpy as np
import pytest

from skdiffrec.preprocessing import InteractionEncoder

HEADERS = [
    [["user_id", "item_id"], ["1", "10"]],
    [["user_id", "item_id"], ["bob", "tea"]],
    [["userId", "movieId"], ["1", "tt10"]],
    [["user_id:token", "item_id:token"], ["a", "b"]],
    [["\ufeffcustomer", "product"], ["a", "b"]],
    [("Kunde", "Artikel Nr"), (1, 10), (2, 20)],
    [("abonné", "film"), ("1", "10.0"), ("2", "1e3")],
    np.array([["buyer", "thing"], ["1", "10"]]),
]
EVENTS = [
    [["bob", "10"], ["1", "10"]],
    [["bob", "tea"], ["eve", "tea"]],
    [["bob", "tea"], ["1", "tea"]],
    [["user", "tea"]],
    [["bob", "tea"]],
    [["b7", "t7"], ["1", "2"]],
    [["1", "2"], ["user_id", "item_id"]],
    [[1, 2], [3, 4]],
]


@pytest.mark.parametrize("rows", HEADERS)
def test_a_header_is_refused(rows):
    with pytest.raises(ValueError, match="Row 0 of X, .*, holds the names of the columns"):
        InteractionEncoder().fit(rows)
    assert InteractionEncoder().fit(rows[1:]).n_users_ == len(rows) - 1


@pytest.mark.parametrize("rows", EVENTS)
def test_ids_that_are_words_are_not_a_header(rows):
    encoder = InteractionEncoder().fit(rows)
    assert sorted(encoder.users_) == sorted({row[0] for row in rows})


def test_a_header_of_all_columns_read_by_csv_is_refused():
    rows = list(csv.reader(io.StringIO("buyer,thing,stars\n1,2,3\n4,5,\n")))
    with pytest.raises(ValueError, match="holds the names of the columns"):
        InteractionEncoder(user=0, item=1).fit(rows)


def test_a_long_word_is_read_in_no_time():
    InteractionEncoder().fit([("a" * 10_000 + "!", "b" * 10_000 + "!"), ("1", "2")])
