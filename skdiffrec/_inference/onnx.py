"""A fitted model as an ONNX graph, for serving without this library and without torch.

The graph is traced from the same chain that `recommend` runs, fed with histories of equal length.
"""

import copy
import os
import warnings

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.nn import functional as F

from .._network.spaces import ItemPath
from .._utils.tensor_file import replacing
from .._utils.validation import check_k
from .._version import __version__
from ..preprocessing import RECENCY_FLOOR
from .chain_spaces import HiddenChainSpace
from .reverse_process import Chain, Prepared

_OPSET = 17
_MAX_BYTES = 2**31 - 2**20  # of an ONNX file, which is one protocol buffer
_NEIGHBORS_AT_ONCE = 8  # of a sparse path, gathered together: bounds the memory of a batch


class OnnxMixin:
    """Export to ONNX."""

    def export_onnx(
        self, path: str | os.PathLike[str], k: int = 10, *, filter_seen: bool = True
    ) -> None:
        """Export as an ONNX file that makes lists, by onnxruntime say, as `recommend` does.

        The sampling parameters are those of the estimator now; only the guidance scale is an input.
        Needs ``pip install "skdiffrec[onnx]"``.

        Inputs of the graph, of any batch and any length:

        * ``items``, int64 (batch, length): the ids of a user's items in any order, each once;
          rows are filled up with -1. A row of -1 alone has no history.
        * ``values``, float64 (batch, length): what `X` has for these items; 0 beside -1. Only
          where the model's `values` is "weight" or "time".
        * ``guidance_scale``, float32 (batch,).

        Outputs: ``ids``, int64 (batch, k), and ``scores``, float32 (batch, k), as from `recommend`.

        Parameters
        ----------
        path : str or os.PathLike
            Of the file; written at once when it is complete.
        k : int, default=10
            Length of the lists.
        filter_seen : bool, default=True
            Never recommend an item of the history.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ImportError
            Without the package onnx.
        ValueError
            If the estimator draws (``temperature > 0``), or the file would be larger than ONNX
            allows (2 GB).
        """
        check_is_fitted(self)
        k = check_k(k)
        onnx = _import_onnx()
        model, settings = self._sampled_model()
        if settings.temperature:
            raise ValueError(
                f"A graph draws no random numbers, but temperature={settings.temperature}. "
                "set_params(temperature=0) follows their mean."
            )
        model = copy.deepcopy(model)  # which is on the CPU
        graph = ServingGraph(model, settings, k, filter_seen).eval()
        size = sum(t.numel() * t.element_size() for t in graph.state_dict().values())
        if size > _MAX_BYTES:
            raise ValueError(
                f"The model has {size / 1e9:.1f} GB of numbers, but an ONNX file holds 2 GB at "
                "most. Fit with fewer hidden units, or item_path=None."
            )
        with replacing(path) as temporary:
            _trace(graph, temporary)
            proto = onnx.load(temporary)
            about = dict(skdiffrec_version=__version__, values=model.values, k=str(k))
            onnx.helper.set_model_props(proto, about)
            onnx.save(proto, temporary)


def _import_onnx():
    try:
        import onnx
    except ImportError as error:
        raise ImportError('export_onnx needs onnx: pip install "skdiffrec[onnx]"') from error
    return onnx


def _trace(graph, path):
    """Write the graph by torch's tracing exporter, which is fast and needs no other package."""
    inputs = {
        "items": torch.tensor([[0, -1], [-1, -1], [0, -1]]),
        "values": torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64),
        "guidance_scale": torch.tensor([1.0, 2.0, 0.0]),
    }
    if graph.values == "binary":
        del inputs["values"]
    axes = {0: "batch", 1: "length"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # on constants of the trace, which are meant
        torch.onnx.export(
            graph,
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=["ids", "scores"],
            dynamic_axes={
                name: axes if name in ("items", "values") else {0: "batch"}
                for name in (*inputs, "ids", "scores")
            },
            opset_version=_OPSET,
            dynamo=False,
        )


class PaddedBags:
    """`Bags` of rows that are filled up to one length, for a graph of fixed operations.

    Parameters
    ----------
    items : int64 tensor (n_rows, length)
    weights : float tensor (n_rows, length)
        Or ages, until `aged`.
    known : bool tensor (n_rows, length)
        False where a row is filled up.
    """

    def __init__(self, items, weights, known):
        self.items, self.known = items, known
        self.weights = weights * known

    def aged(self, half_life, floor):
        if half_life is None:
            return self
        weights = (0.5 ** ((self.weights - 1) / half_life)).clamp(min=floor)
        return PaddedBags(self.items, weights, self.known)

    def normalized(self, norm):
        squares = (self.weights**2).sum(1, keepdim=True)
        factor = norm * squares.where(squares > 0, torch.ones_like(squares)).rsqrt()
        return PaddedBags(self.items, self.weights * factor, self.known)

    def multiply(self, matrix):
        return (self.weights[:, None] @ matrix[self.items])[:, 0]

    def dense(self, n_items):
        """The rows as (n_rows, n_items)."""
        dense = self.weights.new_zeros(self.weights.shape[0], n_items)
        return dense.scatter_add(1, self.items, self.weights)


class ServedChain(Chain):
    """The chain of rows that each have a scale of their own, and no noise."""

    reuses_memory = False  # a graph has none

    def __init__(self, denoiser, diffusion, bags, scale, settings, made):
        self.denoiser, self.diffusion, self.settings = denoiser, diffusion, settings
        self.device, self.keys = denoiser.null.device, None
        self.n_rows = self.n_padded = scale.shape[0]
        self.bags, self.scale = bags, scale
        self._begin(made, None)
        self.leaps = None  # a graph takes one way for all rows


class ServingGraph(nn.Module):
    """From a history and a scale to a list: what is exported.

    Parameters
    ----------
    model : FittedModel
    settings : SamplingSettings
    k : int
    filter_seen : bool
    """

    def __init__(self, model, settings, k, filter_seen):
        super().__init__()
        self.denoiser, self.diffusion = model.denoiser.requires_grad_(False), model.diffusion
        self.values, self.ages = model.values, model.half_life is not None
        self.settings, self.k, self.filter_seen = settings, k, filter_seen
        self.ranks = self.denoiser.write_items is not None
        self.made = Prepared(self.denoiser, self.diffusion, settings.sampler)
        if isinstance(self.made.space, HiddenChainSpace) and not self.ranks:
            # that reads scores off by ways that depend on what it finds
            self.made = Prepared(self.denoiser, self.diffusion, "item_space")
        self.path = None
        if self.denoiser.path_scale:
            self.path = _served_path(self.denoiser.item_path)
        if self.ranks:
            self.register_buffer("offset", self._offset())
        self.denoiser.item_path = None  # what of it is needed is in `path` and `offset`

    def _offset(self):
        offset, scale = self.denoiser.null_offset, self.denoiser.path_scale
        return offset + scale * self.denoiser.item_path.unknown if scale else offset.clone()

    def forward(self, items, *rest):
        values = rest[0] if len(rest) == 2 else None
        known = items >= 0 if values is None else (items >= 0) & (values > 0)
        items = torch.where(known, items, 0)
        bags = PaddedBags(items, self._read(values, known), known)
        # nobody knows a user without history: the unconditional branch
        scale = torch.where(known.any(1), rest[-1], 0.0)[:, None]
        scores = self._scores(bags, scale)
        if self.filter_seen:
            seen = PaddedBags(items, torch.ones_like(bags.weights), known).dense(scores.shape[1])
            scores = scores.masked_fill(seen > 0, -torch.inf)
        n_items = self.denoiser.n_items
        scores, ids = scores.topk(min(self.k, n_items), dim=1)
        ids = ids.masked_fill(scores == -torch.inf, -1)
        missing = max(0, self.k - n_items)
        return F.pad(ids, (0, missing), value=-1), F.pad(scores, (0, missing), value=-torch.inf)

    def _read(self, values, known):
        """What the denoiser reads of histories: weights, or ages; as `FittedModel` makes them."""
        if self.values == "weight":
            largest = (values * known).amax(1, keepdim=True)
            share = values / largest.where(largest > 0, torch.ones_like(largest))
            return ((share * 1e6).round() / 1e6).clamp(min=1e-6).float()
        if self.values == "time" and self.ages:
            values = values * known
            return 1 + (values[:, None, :] > values[:, :, None]).float().sum(2)
        return known.float()

    def _scores(self, bags, scale):
        chain = ServedChain(self.denoiser, self.diffusion, bags, scale, self.settings, self.made)
        x_0, h = chain.last_estimate()
        if not self.ranks:
            return self.made.space.decode(x_0, bags)
        scores = self.denoiser.write_items(h) + (1 - scale) * self.offset
        if self.path is not None:
            history = bags.aged(self.denoiser.path_half_life, RECENCY_FLOOR)
            history = history.dense(self.denoiser.n_items)
            scores = scores + self.denoiser.path_scale * scale * self.path(history)
        return scores


def _served_path(path: ItemPath) -> nn.Module:
    """A closed form that reads dense histories (n, n_items)."""
    if not path.sparse:
        return DensePath(path.weights)
    return SparsePath(path.csr.tocsc())


class DensePath(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, history):
        return history @ self.weights


class SparsePath(nn.Module):
    """Every item's score from its own few neighbours; D is a csc_array."""

    def __init__(self, D):
        super().__init__()
        counts = np.diff(D.indptr)
        width = max(1, counts.max())
        filled = np.arange(width)[:, None] < counts
        items, weights = np.zeros(filled.shape, np.int64), np.zeros(filled.shape, np.float32)
        items.T[filled.T], weights.T[filled.T] = D.indices, D.data
        for i in range(0, width, _NEIGHBORS_AT_ONCE):
            part = slice(i, i + _NEIGHBORS_AT_ONCE)
            self.register_buffer(f"items{i}", torch.from_numpy(items[part].copy()))
            self.register_buffer(f"weights{i}", torch.from_numpy(weights[part].copy()))
        self.starts = range(0, width, _NEIGHBORS_AT_ONCE)

    def forward(self, history):
        by_item = history.T.contiguous()  # what is gathered then lies side by side
        total = 0.0
        for i in self.starts:
            items, weights = getattr(self, f"items{i}"), getattr(self, f"weights{i}")
            total = total + (by_item[items] * weights[:, :, None]).sum(0)
        return total.T
