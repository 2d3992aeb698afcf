"""Blocks of work side by side, without torch."""

from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import ThreadpoolController


def blas_threads():
    """How many threads a product of NumPy's may take now."""
    pools = ThreadpoolController().select(user_api="blas").info()
    return max((pool["num_threads"] for pool in pools), default=1)


def side_by_side(run, blocks, n_threads):
    """``run(block)`` for each of independent blocks, on up to `n_threads` threads."""
    n_threads = min(n_threads, len(blocks))
    if n_threads < 2:
        for block in blocks:
            run(block)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(run, block) for block in blocks]:
            done.result()
