"""Files that take the place of others at once: what may be written to, and what is left behind."""

import ast
import builtins
import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

import skdiffrec
from skdiffrec._utils import tensor_file
from skdiffrec.baselines import EASERecommender

MODEL = EASERecommender(reg=1.0).fit(np.eye(4) + np.eye(4, k=1))
posix = pytest.mark.skipif(os.name != "posix", reason="pipes and processes of POSIX")

ENDLESS_SAVE = """
import sys, time
import numpy as np
from skdiffrec._utils import tensor_file
with tensor_file.replacing(sys.argv[1]) as temporary:
    print(temporary, flush=True)
    time.sleep(600)
"""


@posix
class TestWhatIsNoFile:
    @pytest.mark.parametrize("linked", [False, True])
    def test_a_pipe_stays_one(self, tmp_path, linked):
        path = tmp_path / "pipe"
        os.mkfifo(path)
        if linked:
            (tmp_path / "link").symlink_to(path)
        with pytest.raises(OSError, match="no file") as raised:
            MODEL.save(tmp_path / "link" if linked else path)
        assert raised.value.errno == errno.EINVAL
        assert path.is_fifo() and len(list(tmp_path.iterdir())) == 1 + linked

    def test_a_link_to_a_file_is_followed(self, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path / "model")
        MODEL.save(tmp_path / "link")
        assert (tmp_path / "link").is_symlink() and (tmp_path / "model").is_file()
        EASERecommender.load(tmp_path / "link")


@posix
def test_what_dead_processes_left_is_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    here = socket.gethostname()[:50]
    left = {
        who: tmp_path / f".model.{where}-{number}-{'0' * 32}.tmp"
        for who, where, number in (
            ("dead", here, process.pid),
            ("alive", here, os.getpid()),
            ("elsewhere", "other-machine", process.pid),
        )
    }
    for path in left.values():
        path.write_text("")
    MODEL.save(tmp_path / "model")
    assert [who for who, path in left.items() if path.exists()] == ["alive", "elsewhere"]


@posix
@pytest.mark.slow
def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "model"
    save = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_SAVE, str(path)], stdout=subprocess.PIPE, text=True
    )
    left = save.stdout.readline().strip()
    MODEL.save(path)
    assert os.path.exists(left)  # its process lives
    save.kill()
    save.wait()
    foreign = tmp_path / f".model.other-machine-{save.pid}-{'0' * 32}.tmp"
    foreign.write_text("")
    similar = tmp_path / ".model2.tmp"
    similar.write_text("")
    time.sleep(0.1)
    MODEL.save(path)
    assert not os.path.exists(left)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [foreign.name, similar.name, "model"]
    )
    EASERecommender.load(path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_the_number_of_an_error_is_kept(tmp_path, monkeypatch, number):
    def fails(*_):
        raise SafetensorError(f"Error while serializing: I/O error: Whatever (os error {number})")

    monkeypatch.setattr("safetensors.numpy.save_file", fails)
    with pytest.raises(OSError) as raised:
        MODEL.save(tmp_path / "model")
    assert raised.value.errno == number and "model" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_an_error_without_a_number(tmp_path, monkeypatch):
    def fails(*_):
        raise SafetensorError("Something else")

    monkeypatch.setattr("safetensors.numpy.save_file", fails)
    with pytest.raises(OSError, match="cannot be written: Something else"):
        tensor_file.write(tmp_path / "model", {}, {})


class TestErrorsOfFiles:
    """Errors of the operating system's kinds have its numbers, as Python's own have."""

    def raised(self):
        """Of all that the package raises: (file, kind, first argument in source)."""
        for path in Path(skdiffrec.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    kind = getattr(builtins, ast.unparse(node.exc.func), None)
                    if isinstance(kind, type) and issubclass(kind, OSError):
                        yield path.name, kind, ast.unparse(node.exc.args[0])

    def test_all_have_a_number(self):
        raised = list(self.raised())
        assert len(raised) > 10
        for file, kind, number in raised:
            if number.startswith("errno."):
                found = type(OSError(getattr(errno, number.removeprefix("errno.")), ""))
                assert issubclass(found, kind), (file, number)
            else:  # what a server does has no number
                assert kind is ConnectionError or number == "number", (file, number)

    def test_missing_folders_and_files(self, tmp_path):
        for path, kind, number in (
            (tmp_path / "none" / "model", FileNotFoundError, errno.ENOENT),
            (tmp_path, IsADirectoryError, errno.EISDIR),
        ):
            with pytest.raises(kind) as raised:
                MODEL.save(path)
            assert raised.value.errno == number
        with pytest.raises(FileNotFoundError) as raised:
            EASERecommender.load(tmp_path / "none")
        assert raised.value.errno == errno.ENOENT
