"""Blocks of work side by side, without torch."""

import threading
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import ThreadpoolController


def blas_threads():
    """How many threads a product of NumPy's may take now."""
    pools = ThreadpoolController().select(user_api="blas").info()
    return max((pool["num_threads"] or 1 for pool in pools), default=1)


def side_by_side(run, blocks, n_threads):
    """``run(block)`` for each of independent blocks, on up to `n_threads` threads.

    An error in one ends those that have not begun, and is the caller's.
    """
    n_threads = min(n_threads, len(blocks))
    # once the main thread has ended, pools take no work from those that go on
    if n_threads < 2 or not threading.main_thread().is_alive():
        for block in blocks:
            run(block)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for done in [pool.submit(run, block) for block in blocks]:
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
