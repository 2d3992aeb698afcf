"""The page of `SteeringDisplay.to_html`: one file, its data beside the script that reads them."""

import html
import json
from importlib import resources

import numpy as np

_DIGITS = 6  # of the numbers in the page: a millionth of the largest


def page(title, names, items, base, parts, ranges, k, features, feature_names):
    """The text of a page; parameters are those of `SteeringDisplay`, ranges are (low, high)."""
    largest = max(float(np.abs(values).max(initial=1e-6)) for values in (base, *parts.values()))
    step = 10.0 ** (np.floor(np.log10(largest)) - _DIGITS)
    data = {
        "k": k,
        "step": step,
        "items": items.tolist(),
        "names": names,
        "base": _whole(base, step),
        "parts": {name: _whole(values, step) for name, values in parts.items()},
        "ranges": ranges,
    }
    if features is not None:
        by_item = features.tocsr()
        data["features"] = {
            "names": feature_names or [f"feature {j}" for j in range(features.shape[1])],
            "offsets": by_item.indptr.tolist(),
            "columns": by_item.indices.tolist(),
            "values": _whole(by_item.data, step),
        }
    # what could end the script is written as an escape, in names as everywhere
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    template = resources.files(__package__).joinpath("steering.html").read_text("utf-8")
    before, after = template.replace("TITLE", html.escape(title)).rsplit("/*DATA*/null", 1)
    return before + text + after


def _whole(values, step):
    """Values as whole numbers of steps, which are shorter."""
    return np.rint(np.asarray(values, np.float64) / step).astype(np.int64).tolist()
