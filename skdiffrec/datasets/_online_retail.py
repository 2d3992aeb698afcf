"""Online Retail: products that customers of a shop ordered."""

import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import Bunch

from ._archive import open_member, open_zip
from ._download import DamagedFile, open_source
from ._interactions import Events, check_values, make_bunch
from ._sources import ONLINE_RETAIL
from ._xlsx import read_sheet

__all__ = ["fetch_online_retail"]

_COLUMNS = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
]
_PRODUCT = re.compile(r"\d{5}")  # other codes are postage, fees, discounts, manual entries
_DAY_OF_1970 = 25569  # spreadsheets count days from 1899-12-30
_SECONDS_OF_DAY = 86_400


def fetch_online_retail(
    *,
    values: str = "binary",
    return_X: bool = False,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
    verbose: int = 1,
) -> Bunch | csr_array:
    """Load Online Retail (customers x products), downloading it if needed.

    The file has 541,909 rows of orders at a British shop for gifts. After cleaning, about 4,300
    customers x 3,700 products remain. The download is about 23 MB; reading the spreadsheet can take
    a minute. An order has many products with the same time, so their order within it carries
    little information.

    Parameters
    ----------
    values : {"binary", "weight", "time"}, default="binary"
        What the stored values mean. "binary": 1, float32. "weight": number of the customer's orders
        that contain the product, float32. "time": time of the first such order, seconds since 1970
        by the shop's local clock, float64.
    return_X : bool, default=False
        Whether to return only the matrix.
    data_home, download_if_missing, n_retries, delay, verbose
        As in `fetch_movielens`.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        X : csr_array of shape (n_users, n_items)
            The interactions, one entry per (user, item) pair, with sorted indices.
        user_ids : ndarray of int, shape (n_users,)
            Customer ids of the rows, ascending.
        item_ids : ndarray of str, shape (n_items,)
            Stock codes of the columns, ascending.
        item_names : ndarray of str, shape (n_items,)
            The most frequent description of each product.
        n_users, n_items : int
            The shape of `X`.
        has_times : bool
            True: ``values="time"`` is available.
        DESCR : str
            Description, licence and citation.

        With ``return_X=True``, only `X`.

    Raises
    ------
    ConnectionError, FileNotFoundError, ImportError, ValueError
        As in `fetch_movielens`.

    Notes
    -----
    Cancellations (invoice numbers that begin with C), rows without a customer or with a quantity or
    price that is not positive, and stock codes that are not products (postage, fees) are left out.

    Licence: Creative Commons Attribution 4.0 International (CC BY 4.0).

    References
    ----------
    Daqing Chen. 2015. Online Retail. UCI Machine Learning Repository.
    https://doi.org/10.24432/C5BW33

    Daqing Chen, Sai Laing Sain and Kun Guo. 2012. Data mining for the online retail industry.
    Journal of Database Marketing & Customer Strategy Management 19, 197-208.
    https://doi.org/10.1057/dbm.2012.17

    Examples
    --------
    >>> from skdiffrec.datasets import fetch_online_retail
    >>> data = fetch_online_retail()  # doctest: +SKIP
    """
    check_values(values, ONLINE_RETAIL.name)
    with open_source(
        ONLINE_RETAIL,
        data_home=data_home,
        download_if_missing=download_if_missing,
        n_retries=n_retries,
        delay=delay,
        verbose=verbose,
    ) as path:
        events, titles = _read(path)
    data = make_bunch(ONLINE_RETAIL.name, ONLINE_RETAIL.about, events, values, titles=titles)
    return data.X if return_X else data


def _read(path: Path) -> tuple[Events, dict[str, str]]:
    """(orders of products as events, most frequent description of each product)."""
    columns: tuple[list, ...] = ([], [], [], [])
    descriptions: Counter = Counter()
    for invoice, code, title, time, customer in _sales(path):
        for column, entry in zip(columns, (customer, code, time, invoice), strict=True):
            column.append(entry)
        descriptions[code, title] += 1
    users, items, times, invoices = map(np.array, columns)
    titles = {code: title for (code, title), _ in reversed(descriptions.most_common())}
    return Events(users, items, time=times).once_per(invoices), titles


def _sales(path: Path) -> Iterator[tuple[str, str, str, int, int]]:
    """(invoice, stock code, description, seconds, customer) of every row that is a sale."""
    with open_zip(path) as archive, open_member(archive, "Online Retail.xlsx") as member:
        rows = read_sheet(io.BytesIO(member.read()))
        header = next(rows, [])
        if header != _COLUMNS:
            raise DamagedFile(f"its columns are {header}, expected {_COLUMNS}")
        for row in rows:
            row = (row + [""] * len(_COLUMNS))[: len(_COLUMNS)]  # empty cells may be left out
            invoice, code, title, quantity, date, price, customer, _ = row
            if invoice.startswith("C") or not customer or not _PRODUCT.match(code):
                continue
            try:
                if float(quantity) > 0 and float(price) > 0:
                    seconds = round((float(date) - _DAY_OF_1970) * _SECONDS_OF_DAY)
                    yield invoice, code, title.strip(), seconds, int(float(customer))
            except ValueError as error:
                raise DamagedFile(f"its row {row} has an invalid number") from error
