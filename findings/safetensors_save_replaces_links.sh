#!/usr/bin/env bash
# safetensors 0.8.0: `save_file` does not write into the file at the path, but puts a new one in its
# place, readable by its owner alone. A symbolic link becomes a file of its own, and what it pointed
# to stays as it was; a second hard link keeps the old contents; the mode of a file that others could
# read (644) becomes 600, whatever the umask is. NumPy's `savez` follows links and keeps the mode.
# Seen: "the link is a link: False", "its target was written: False", "other hard link was written:
# False", "mode 600"; of NumPy True, True, True, mode 644.
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q safetensors==0.8.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import os
import sys

import numpy as np
from safetensors.numpy import save_file

os.umask(0o022)


def written_by(name, save):
    """What is left of a link to a file with two names after something was saved to the link."""
    target, other, link = (f"{name}-{part}.npz" for part in ("target", "other", "link"))
    with open(target, "w") as file:
        file.write("old")
    os.link(target, other)
    os.symlink(target, link)
    save(link)
    plain = f"{name}-plain.npz"
    with open(plain, "w") as file:
        file.write("old")
    save(plain)
    found = os.path.islink(link), os.path.getsize(target) > 3, os.path.getsize(other) > 3
    mode = oct(os.stat(plain).st_mode & 0o777)[2:]
    print(
        f"{name}: the link is a link: {found[0]}, its target was written: {found[1]}, other hard "
        f"link was written: {found[2]}, mode {mode}"
    )
    return *found, mode


array = np.arange(5.0)
safe = written_by("safetensors", lambda path: save_file({"a": array}, path))
numpy = written_by("numpy", lambda path: np.savez(path, a=array))
sys.exit(safe != (False, False, False, "600") or numpy != (True, True, True, "644"))
PYTHON
