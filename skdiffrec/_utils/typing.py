"""Names for the types in public signatures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, sparray, spmatrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame
else:  # of extras, which must not be needed to import a signature
    Axes = DataFrame = Any

__all__ = [
    "ArrayLike",
    "Average",
    "Axes",
    "AxesLike",
    "BaselineValues",
    "DataFrame",
    "DoubleArray",
    "Empty",
    "FloatArray",
    "HasHide",
    "HasSplit",
    "IntArray",
    "MatrixLike",
    "Method",
    "Names",
    "RandomState",
    "Scale",
    "Score",
    "Search",
    "Style",
    "Values",
    "Wanted",
]

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float32]
DoubleArray: TypeAlias = NDArray[np.float64]
MatrixLike: TypeAlias = ArrayLike | sparray | spmatrix
Names: TypeAlias = Sequence[str] | NDArray[Any]
Scale: TypeAlias = ArrayLike | Mapping[str, ArrayLike]  # of guidance, by condition
Wanted: TypeAlias = Mapping[str | int, float] | MatrixLike  # weights of features of items
RandomState: TypeAlias = int | np.random.RandomState | None

Values: TypeAlias = Literal["binary", "weight", "time", "rating"]
BaselineValues: TypeAlias = Literal["binary", "weight", "time"]
Search: TypeAlias = Literal["exact", "approximate"]
Empty: TypeAlias = Literal["nan", "zero"]
Average: TypeAlias = Literal["macro", "micro"]
Score: TypeAlias = float | DoubleArray  # a mean, or with per_user=True one value per user

AxesLike: TypeAlias = Axes | Iterable[Axes]
Style: TypeAlias = dict[str, Any]  # keyword arguments for matplotlib
Method = TypeVar("Method", bound=Callable[..., Any])  # that a decorator leaves as it is


class HasHide(Protocol):
    """A holdout: says which part of the rows is hidden."""

    def hide(self, X: MatrixLike) -> tuple[csr_array, csr_array]: ...


class HasSplit(Protocol):
    """What scikit-learn takes as ``cv``."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterable[tuple[Any, Any]]: ...

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int: ...
