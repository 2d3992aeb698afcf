"""`save` and `load` of every estimator: its parameters and arrays to a file, and back."""

import numbers
import os
import sys
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from . import tensor_file as _tensor_file
from .tensor_file import (
    PersistenceError,
    check_record,
    csr_tensors,
    is_integer,
    is_number,
    take,
    take_csr,
)
from .validation import check_parameters

_NOT_SAVED = ("device", "memory")  # of the machine rather than of the model


class SaveMixin:
    """Save to one file and load from it, without pickle.

    A subclass names the arrays of its fitted state in ``_saved_arrays``, {attribute: shape}, where
    a shape has names of attributes (None: any length), or is "csr" for a csr_array (n_items,
    n_items); all float32. Or it overrides `_get_state` and `_set_state`.
    """

    _saved_arrays: Mapping[str, Any] | None = None

    def save(self, path: str | os.PathLike[str], *, include_data: bool = True) -> None:
        """Save the fitted model as one safetensors file.

        The file appears at once, when it is complete; if saving fails, what was there before
        stays.

        Parameters
        ----------
        path : str or os.PathLike
        include_data : bool, default=True
            Whether to save the rows given to `fit` too. Without them the file holds no user's
            history and is smaller, but `recommend` needs `X` after loading.

        Raises
        ------
        NotFittedError
            Before `fit`.
        PersistenceError
            If a parameter is invalid or has no JSON form, or a weight is not finite.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> from skdiffrec.baselines import EASERecommender
        >>> model = EASERecommender(reg=1.0).fit([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.safetensors")
        ...     model.save(path)
        ...     loaded = EASERecommender.load(path)
        >>> bool((loaded.recommend(0, k=1)[0] == model.recommend(0, k=1)[0]).all())
        True
        """
        check_is_fitted(self)
        record, tensors = self._packed(include_data)
        self._of_parameters(record["parameters"])  # what `load` would refuse is not written
        _tensor_file.write(path, record, tensors)

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: Any = "auto") -> Self:
        """Load a model that `save` wrote.

        Nothing in the file is executed. It is checked before it is used: a file that is truncated,
        altered, of another class or of a newer format is refused. The check finds accidents, not
        forgers: it does not say who wrote the file.

        Parameters
        ----------
        path : str or os.PathLike
        device : str or torch.device, default="auto"
            Where to compute, for a model that uses torch; "auto" takes a GPU if there is one,
            wherever the model was trained.

        Returns
        -------
        model : estimator
            Fitted; its scores are those of the model that was saved, bit by bit on the same device.
            Parameters are as they were, but for `device`, ``memory=None``, a `random_state` that
            was no int (None), and lists, which come back as tuples.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        PersistenceError
            A ValueError that says why a file is refused.
        ValueError
            If `device` is none that this machine has.
        """
        record, tensors = _tensor_file.read(path)
        return cls._of_file(path, record, tensors, device)

    @classmethod
    def _of_file(cls, path, record, tensors, device):
        """The model in what was read from a file; errors name the file."""
        try:
            return cls._unpacked(record, tensors, device)
        except PersistenceError as error:
            raise PersistenceError(f"{str(path)!r} cannot be loaded: {error}") from None

    def _packed(self, include_data):
        """(record, tensors): JSON and arrays that say all of this model."""
        state, tensors = self._get_state()
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            names = names.astype(str)
            tensors["feature_names"] = names.view(np.uint32).reshape(len(names), -1)
        data = self._fit_X if include_data else None
        if data is not None:
            tensors |= csr_tensors("data", data)
        parameters = {
            name: _to_json(name, value)
            for name, value in self.get_params(deep=False).items()
            if name not in _NOT_SAVED
        }
        record = {
            "class": type(self).__name__,
            "parameters": parameters,
            "n_items": self.n_features_in_,
            "n_users": None if data is None else data.shape[0],
            "has_feature_names": names is not None,
            "state": state,
        }
        return record, tensors

    @classmethod
    def _unpacked(cls, record, tensors, device):
        """The model that `_packed` took apart; `tensors` is emptied."""
        n_bytes = sum(array.nbytes for array in tensors.values())
        record = {k: v for k, v in record.items() if not k.endswith("_version")}
        check_record(record, _schema(n_bytes), "the model")
        if record["class"] != cls.__name__:
            raise PersistenceError(
                f"It holds a {record['class']!r:.100}, no {cls.__name__}. Load it by the `load` of "
                "that class, or by skdiffrec.persistence.load."
            )
        model = cls._of_parameters(record["parameters"])
        n_items = model.n_features_in_ = record["n_items"]
        if record["has_feature_names"]:
            model.feature_names_in_ = _strings(
                take(tensors, "feature_names", "uint32", (n_items, None))
            )
        model._fit_X = None
        if record["n_users"] is not None:
            shape = record["n_users"], n_items
            model._fit_X = take_csr(tensors, "data", "float32 float64", shape)
            if not (model._fit_X.data > 0).all():
                raise PersistenceError("The rows of fit have values that are not above 0.")
        model._set_state(record["state"], tensors, device)
        if tensors:
            raise PersistenceError(f"It has tensors of no use: {sorted(tensors)!r:.500}.")
        return model

    @classmethod
    def _of_parameters(cls, parameters):
        known = set(cls._get_param_names()) - set(_NOT_SAVED)
        unknown = sorted(set(parameters) - known)
        if unknown:
            raise PersistenceError(f"{cls.__name__} has no parameters {unknown!r:.500}.")
        # a parameter that is younger than the file has its default
        model = cls(**{name: _of_json(name, value) for name, value in parameters.items()})
        constraints = getattr(cls, "_parameter_constraints", {})
        try:
            check_parameters(model, sorted(known & set(constraints)))
        except ValueError as error:
            raise PersistenceError(str(error)[:500]) from None
        return model

    def _get_state(self):
        """(state, tensors) of what `fit` learned: a JSON-able dict and a dict of ndarrays."""
        if self._saved_arrays is None:
            raise PersistenceError(
                f"{type(self).__name__} does not say what to save: define `_saved_arrays`, or "
                "`_get_state` and `_set_state`."
            )
        tensors = {}
        for name in self._saved_arrays:
            value = getattr(self, name)
            tensors |= csr_tensors(name, value) if sp.issparse(value) else {name: value}
        return {}, tensors

    def _set_state(self, state, tensors, device):
        """Take what `_get_state` gave, checked, out of `tensors`."""
        check_record(state, {}, "the fitted state")
        n_items = self.n_features_in_
        for name, shape in self._saved_arrays.items():
            if shape == "csr":
                value = take_csr(tensors, name, "float32", (n_items, n_items))
            else:
                shape = [length and getattr(self, length) for length in shape]
                value = take(tensors, name, "float32", shape)
            setattr(self, name, value)


def _schema(n_bytes):
    """Tests of a record's entries; no length can be above the number of bytes that are there."""

    def may_be(test):
        return lambda value: value is None or test(value)

    return {
        "class": lambda value: isinstance(value, str),
        "parameters": lambda value: isinstance(value, dict),
        "n_items": is_integer(1, n_bytes),
        "n_users": may_be(is_integer(1, n_bytes)),
        "has_feature_names": lambda value: isinstance(value, bool),
        "state": lambda value: isinstance(value, dict),
    }


def _strings(codes):
    """Strings (n,) from arrays of character codes (n, width)."""
    if not codes.size or codes.max() > sys.maxunicode:
        raise PersistenceError("The names of the columns have characters that do not exist.")
    return codes.view(f"U{codes.shape[1]}")[:, 0].astype(object)


def _to_json(name, value):
    """A parameter as JSON has it."""
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) == 1:
        return [_to_json(name, entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if is_number(value):
        return float(value)
    if name == "random_state":
        return None  # a generator that moves on: what was drawn from it is in the fitted state
    raise PersistenceError(
        f"The parameter {name}={value!r:.100} cannot be saved. Valid are None, a bool, a finite "
        "number, a str and a flat sequence of these; change it by set_params first."
    )


def _of_json(name, value):
    if isinstance(value, list) and not any(isinstance(entry, list) for entry in value):
        return tuple(_of_json(name, entry) for entry in value)
    if value is None or isinstance(value, (bool, str)) or is_number(value):
        return value
    raise PersistenceError(f"The parameter {name} cannot be {value!r:.100}.")
