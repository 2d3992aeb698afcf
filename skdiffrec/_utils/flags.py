"""Switches that are on or off, and devices by name."""

import re

import numpy as np

_DEVICES = re.compile(r"(auto|cpu|(cuda|mps|xpu)(:\d+)?)")


def check_flag(name, value):
    """True or False; "no", 0 and None are neither."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r:.100}.")
    return bool(value)


def check_device_name(device):
    """A device that models without torch are loaded for, which makes no difference to them."""
    if not _DEVICES.fullmatch(str(device)):
        raise ValueError(
            f'device={device!r} is not a device to compute on. Valid are "auto", "cpu", "cuda", '
            '"cuda:0" and the like.'
        )
