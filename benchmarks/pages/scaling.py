"""What sizes that nobody here has run would take: `cost_model.py`."""

import cost_model as model

from . import format as fmt


def machine():
    """The rates that were fitted, in words."""
    device = model.machine()
    rates = f"{device.flops / 1e9:.0f} GFLOP/s and {device.bandwidth / 1e9:.0f} GB/s"
    return f"{device.name} ({rates} reached)"


def gpu():
    """The rates that were assumed, in words."""
    return f"{model.GPU.flops / 1e12:.0f} TFLOP/s and {model.GPU.bandwidth / 1e12:.0f} TB/s reached"


def gpu_memory():
    """Of the assumed GPU."""
    return f"{model.GPU.memory / 1e9:.0f} GB"


def network():
    """The assumed rate between machines."""
    return f"{model.NETWORK / 1e9:.0f} GB/s"


def per_user():
    """Interactions of a user."""
    return str(model.PER_USER)


def epochs():
    """Of a fit."""
    return str(model.EPOCHS)


def table_limit():
    """Items whose tables a GPU can train."""
    return f"{model.GPU.memory / model.training(1) / 1e6:.0f} million"


def checked():
    """The model beside what was measured."""
    return _table(list(model.checked()))


def memory():
    """Memory of fits, by size."""
    columns = "users", "items", "rows on disk, GB", "memory of a fit, GB"
    return _table([{name: row[name] for name in columns} for row in model.plan()])


def time():
    """Time of fits and lists, by size."""
    left_out = "rows on disk, GB", "memory of a fit, GB"
    return _table([{k: v for k, v in row.items() if k not in left_out} for row in model.plan()])


def split_tables():
    """Item tables in every process, and split over them by FSDP2."""
    return _table(fmt.load("split_tables").get("rows", []))


def _table(rows):
    return fmt.table(
        list(rows[0]) if rows else [], [[_cell(value) for value in row.values()] for row in rows]
    )


def _cell(value):
    if isinstance(value, str):
        return value
    return f"{value:.1e}" if isinstance(value, float) and value >= 1e6 else fmt.amount(value)
