"""A fitted model as an ONNX graph, for serving without this library and without torch.

The graph is traced from the same pieces that `recommend` runs: the history reader, the reverse
process and the scores, fed with histories that are filled up to one length.
"""

import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .._network.conditions import Known
from .._network.sparse_rows import recency_of_ages
from .._utils.condition_names import WANTED
from .._utils.host_state import float32_by_default, in_own_state
from .._utils.recency import RECENCY_FLOOR
from .._utils.tensor_file import replacing
from .._utils.user_features import LARGEST
from .._version import __version__
from .chain_spaces import HiddenChainSpace
from .reverse_process import ReverseProcess, known_of_nobody

_OPSET = 17
_MAX_BYTES = 2**31 - 2**20  # of an ONNX file, which is one protocol buffer
_NEIGHBORS_AT_ONCE = 8  # of a sparse closed form, gathered together: bounds the memory of a batch


@in_own_state(device=True)
def export(model, settings, path, k, filter_seen, more_inputs):
    """Write the graph of a FittedModel to a file; see `CFGDiffusionRecommender.export_onnx`.

    `more_inputs` are names among "blocked" and "allowed", inputs with the ids of each user, and
    "wanted".
    """
    onnx = _import_onnx()
    if settings.temperature:
        raise ValueError(
            f"A graph draws no random numbers, but temperature={settings.temperature}. "
            "set_params(temperature=0) follows their mean."
        )
    if WANTED in more_inputs and model.item_features is None:
        raise ValueError("wanted=True needs item_features, but the model was fitted without.")
    model = model.to(torch.device("cpu"))
    filter_inputs = [name for name in more_inputs if name != WANTED]
    wanted = WANTED in more_inputs
    graph = ServingGraph(model, settings, k, filter_seen, filter_inputs, wanted).eval()
    size = graph.n_bytes
    if size > _MAX_BYTES:
        raise ValueError(
            f"The model has {size / 1e9:.1f} GB of numbers, but an ONNX file holds 2 GB at "
            "most. Fit with fewer hidden units, or closed_form=None."
        )
    with replacing(path) as temporary:
        _trace(graph, temporary)
        proto = onnx.load(temporary)
        about = dict(skdiffrec_version=__version__, values=model.values, k=str(k))
        onnx.helper.set_model_props(proto, about)
        onnx.save(proto, temporary)


def requested_inputs(filters):
    """Names of the inputs that are asked for, from {name: bool}."""
    for name, value in filters.items():
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(
                f"{name} must be True or False, got {type(value).__name__}: it says whether the "
                "graph has such an input, whose ids are given whenever it runs."
            )
    return [name for name, value in filters.items() if value]


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
        "guidance_scale": torch.tensor([1.0, 2.0, 0.0], dtype=torch.float32),
    }
    if graph.values == "binary":
        del inputs["values"]
    reader, n_conditions = graph.denoiser.user_features, len(graph.conditions)
    scales = inputs.pop("guidance_scale")
    if reader is not None:
        inputs["user_features"] = torch.zeros(3, len(reader.factor), dtype=torch.float32)
        inputs["user_features"][0] = 1.0
    if graph.by_feature is not None:
        inputs["wanted"] = torch.zeros(3, len(graph.by_feature), dtype=torch.float32)
        inputs["wanted"][0] = 1.0
    several = torch.stack([scales] * n_conditions, 1)
    inputs["guidance_scale"] = several if n_conditions > 1 else scales
    axes = {name: {0: "batch"} for name in (*inputs, "ids", "scores")}
    for name in inputs.keys() & {"items", "values"}:
        axes[name][1] = "length"
    for name in graph.filter_inputs:
        inputs[name] = torch.tensor([[1, -1], [-1, -1], [1, 0]])
        axes[name] = {0: "batch", 1: f"{name}_length"}
    with warnings.catch_warnings(), float32_by_default():  # of the exporter's constants
        warnings.simplefilter("ignore")  # on constants of the trace, which are meant
        torch.onnx.export(
            graph,
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=["ids", "scores"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )


class PaddedRows:
    """`SparseRows` that are filled up to one length, for a graph of fixed operations.

    Parameters
    ----------
    items : int64 tensor (n_rows, length)
    weights : float tensor (n_rows, length)
    known : bool tensor (n_rows, length)
        False where a row is filled up.
    """

    def __init__(self, items, weights, known):
        self.items, self.known = items, known
        self.weights = weights * known

    @property
    def lengths(self):
        return self.known.sum(1)

    @property
    def filled(self):
        return self.known.any(1)

    def weighted(self, half_life, floor=RECENCY_FLOOR):
        return self

    def scaled(self, factor):
        return PaddedRows(self.items, self.weights * factor[:, None], self.known)

    def joined(self, other):
        parts = zip(self.parts, other.parts, strict=True)
        return PaddedRows(*(torch.cat(both, 1) for both in parts))

    @property
    def parts(self):
        return self.items, self.weights, self.known

    def normalized(self, norm):
        squares = (self.weights**2).sum(1, keepdim=True)
        factor = norm * squares.where(squares > 0, torch.ones_like(squares)).rsqrt()
        return PaddedRows(self.items, self.weights * factor, self.known)

    def multiply(self, matrix):
        return (self.weights[:, None] @ matrix[self.items])[:, 0]

    def dense(self, n_items):
        """The rows as (n_rows, n_items)."""
        dense = self.weights.new_zeros(self.weights.shape[0], n_items)
        return dense.scatter_add(1, self.items, self.weights)


class PaddedAgedRows:
    """`AgedRows` that are filled up to one length."""

    def __init__(self, items, ages, known):
        self.items, self.ages, self.known = items, ages, known

    lengths, filled = PaddedRows.lengths, PaddedRows.filled

    def weighted(self, half_life, floor=RECENCY_FLOOR):
        weights = recency_of_ages(self.ages, half_life, floor)
        return PaddedRows(self.items, weights, self.known)

    def sums(self, weights, table):
        weights = torch.stack(weights, 1) * self.known[:, None]
        return weights @ table[self.items]


class DenseFeatures:
    """Features of users as a dense tensor (n_rows, n_features)."""

    def __init__(self, values):
        self.values = values

    @property
    def filled(self):
        return (self.values != 0).any(1)

    def multiply(self, matrix):
        return self.values @ matrix


class ServedProcess(ReverseProcess):
    """The reverse process of rows that each have a scale of their own, and no noise."""

    reuses_memory = False  # a graph has none
    takes_all_steps = True  # a graph takes one way for all rows

    def __init__(self, model, known, scale, settings):
        self.keys = None
        self.n_rows = self.n_padded = scale.shape[0]
        branches = range(len(model.denoiser.conditions) + 1)
        self._begin(model, known, scale, settings, branches)
        self.unknown = known_of_nobody(known)


class ServingGraph(nn.Module):
    """From a history and a scale to a list: what is exported.

    Parameters
    ----------
    model : FittedModel
    settings : SamplingSettings
    k : int
    filter_seen : bool
    filter_inputs : sequence of str
        "blocked" and "allowed", if the graph has these inputs.
    wanted : bool
        Whether it has an input of what is wanted.
    """

    by_feature: torch.Tensor | None

    def __init__(self, model, settings, k, filter_seen, filter_inputs=(), wanted=False):
        super().__init__()
        self.conditions = model.conditions if wanted else model.denoiser.conditions
        self.filter_inputs = tuple(filter_inputs)
        self.model, self.denoiser = model, model.denoiser
        self.values, self.k, self.filter_seen = model.values, k, filter_seen
        if isinstance(model.tables().space, HiddenChainSpace) and not self.denoiser.head.ranks:
            # that reads scores off by ways that depend on what it finds
            settings = settings._replace(reference=True)
        self.settings, self.scores = settings, model.tables(settings.reference).scores
        items = self.scores.wanted
        self.register_buffer("by_feature", None)
        if wanted:
            of_features = items.unit * items.by_feature.toarray()
            self.by_feature = torch.from_numpy(of_features.astype(np.float32))
        self.closed_form: nn.Module | None = None
        self.table: torch.Tensor
        if self.denoiser.head.ranks:
            self.register_buffer("table", self.scores.table)
            if self.scores.scale:
                self.closed_form = _served_form(self.scores.closed_form)

    @property
    def n_bytes(self):
        """Of the numbers in the graph, in which `table` stands for the head."""
        state = self.state_dict()
        used = (t for name, t in state.items() if not name.startswith("denoiser.head."))
        return sum(t.numel() * t.element_size() for t in used)

    def forward(self, items, *rest):
        n_filters = len(self.filter_inputs)
        filters = dict(zip(self.filter_inputs, rest[len(rest) - n_filters :], strict=True))
        *rest, scale = rest[: len(rest) - n_filters]
        features = wanted = None
        if self.by_feature is not None:
            *rest, wanted = rest
        if self.denoiser.user_features is not None:
            *rest, features = rest
            features = (features * self.denoiser.user_features.factor).clamp(-LARGEST, LARGEST)
            features = DenseFeatures(features)
        values = rest[0] if rest else None
        known = items >= 0 if values is None else (items >= 0) & (values > 0)
        items = torch.where(known, items, 0)
        rows = Known(*self._rows(items, values, known, features))
        scores = self._scores(rows, scale)
        if wanted is not None:
            scores = scores + scale[:, -1:] * (wanted @ self.by_feature)
        n_items = self.denoiser.n_items
        excluded = [_marked(items, known, n_items)] if self.filter_seen else []
        if "blocked" in filters:
            excluded.append(_marked(filters["blocked"], None, n_items))
        if "allowed" in filters:
            excluded.append(~_marked(filters["allowed"], None, n_items))
        for mask in excluded:
            scores = scores.masked_fill(mask, -torch.inf)
        scores, ids = scores.topk(min(self.k, n_items), dim=1)
        ids = ids.masked_fill(scores == -torch.inf, -1)
        missing = max(0, self.k - n_items)
        return F.pad(ids, (0, missing), value=-1), F.pad(scores, (0, missing), value=-torch.inf)

    def _rows(self, items, values, known, features):
        """Histories, features, and disliked items where there are ratings."""
        reader, opinions = self.model.reader, self.model.opinions
        if opinions is None:
            kind = PaddedAgedRows if reader.aged else PaddedRows
            return kind(items, reader.read_padded(values, known), known), features
        signed = _signed(opinions, values, known).float()
        liked, disliked = known & (signed > 0), known & (signed < 0)
        return PaddedRows(items, signed, liked), features, PaddedRows(items, -signed, disliked)

    def _scores(self, known, scale):
        # what is not known adds no link to the chain, as in `effective_scales`
        scales: list[torch.Tensor] = []
        after = torch.zeros(())
        given = scale.unsqueeze(1) if scale.ndim == 1 else scale
        for j, name in reversed(list(enumerate(self.denoiser.conditions))):
            after = torch.where(getattr(known, name).filled, given[:, j], after)
            scales.insert(0, after)
        if self.model.conditions[-1] == WANTED:  # which is added to the scores as a whole
            scales.append(torch.zeros_like(scales[0]))
        scale = torch.stack(scales, 1)
        process = ServedProcess(self.model, known, scale, self.settings)
        x_0, h = process.last_estimate()
        if not self.denoiser.head.ranks:
            return process.space.decode(x_0, known.history.weighted(self.model.half_life))
        read = self.scores.closed_form_history(known, scale)
        scores = self.scores.features(h, known, scale, process.unknown, read) @ self.table.T
        if self.closed_form is not None:
            scores = scores + self.closed_form(read.dense(self.denoiser.n_items))
        return scores


def _signed(opinions, ratings, known):
    """`Opinions.strength` of rows (n, length) that are filled up where `known` is false."""
    ratings = ratings.clip(opinions.lowest, opinions.highest) * known
    threshold = torch.full_like(ratings, opinions.liked_from)
    if opinions.own_means:
        threshold = _own_means(opinions, ratings, known, threshold)
    return opinions.strength(ratings, threshold, torch)


def _own_means(opinions, ratings, known, threshold):
    """`threshold`, but where rows have a mean of their own."""
    n = known.sum(1, keepdim=True)
    mean = ratings.sum(1, keepdim=True) / n.clip(min=1)
    furthest = (abs(ratings - mean) * known).amax(1, keepdim=True)
    return mean.where(opinions.has_mean(n, furthest), threshold)


def _marked(items, known, n_items):
    """Which items each row names, bool (n_rows, n_items); ids below 0 name none."""
    known = items >= 0 if known is None else known
    ones = torch.ones_like(items, dtype=torch.float32)
    return PaddedRows(torch.where(known, items, 0), ones, known).dense(n_items) > 0


def _served_form(form):
    """A closed form that reads dense histories (n, n_items)."""
    return SparseServedForm(form.csr.tocsc()) if form.sparse else DenseServedForm(form.weights)


class DenseServedForm(nn.Module):
    """Scores as a product with D."""

    def __init__(self, weights):
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, history):
        return history @ self.weights


class SparseServedForm(nn.Module):
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
        total = torch.zeros((), dtype=torch.float32)
        for i in self.starts:
            items, weights = getattr(self, f"items{i}"), getattr(self, f"weights{i}")
            total = total + (by_item[items] * weights[:, :, None]).sum(0)
        return total.T
