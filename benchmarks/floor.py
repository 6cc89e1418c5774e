"""The least time a step can take here: its products at their best rates, and Adam.

For each product of the step (see `PRODUCTS`) the best rate that a matrix product of
that shape reaches on this machine, in XLA, NumPy's BLAS or PyTorch's, whichever is
fastest. To their sum comes one pass over what Adam reads and writes, at the rate of the
machine's memory. Everything else a step does counts as nothing.

    python benchmarks/floor.py

prints the sums over all products by each library and by the best at each shape.
"""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from workload import BATCH

Shape = tuple[int, int, int]

# Rows, inner and outer width of a layer's forward product.
_ENCODER = ((784, 1000), (1000, 1000), (1000, 2))
_DECODER = ((2, 1000), (1000, 1000), (1000, 784))
_DISCRIMINATOR = ((2, 1000), (1000, 1000), (1000, 1))
_STREAMED = 7 * 4  # bytes: parameter and both averages read and written, gradient read


def _products() -> Counter[tuple[str, Shape]]:
    """How often a step needs each product.

    `forward` x w, `weights` x' g and `inputs` g w', of a layer with b rows, i inputs
    and o outputs: all cost 2 b i o operations.
    """
    count: Counter[tuple[str, Shape]] = Counter()

    def add(kind: str, layers: tuple[tuple[int, int], ...], rows: int = BATCH) -> None:
        count.update((kind, (rows, *layer)) for layer in layers)

    add("forward", _ENCODER + _DECODER)  # reconstruction
    add("weights", _ENCODER + _DECODER)
    add("inputs", _ENCODER[1:] + _DECODER)
    add("forward", _ENCODER)  # for discriminator and generator
    add("forward", _DISCRIMINATOR, 2 * BATCH)  # discriminator
    add("weights", _DISCRIMINATOR, 2 * BATCH)
    add("inputs", _DISCRIMINATOR[1:], 2 * BATCH)
    add("forward", _DISCRIMINATOR)  # generator
    add("inputs", _DISCRIMINATOR + _ENCODER[1:])
    add("weights", _ENCODER)
    return count


PRODUCTS = _products()
_SIZES = {
    name: sum(i * o + o for i, o in layers)
    for name, layers in (
        ("encoder", _ENCODER),
        ("decoder", _DECODER),
        ("discriminator", _DISCRIMINATOR),
    )
}
ADAM_PARAMETERS = 2 * _SIZES["encoder"] + _SIZES["decoder"] + _SIZES["discriminator"]
"""Parameters that a step's three Adams move, those of the encoder twice."""


def milliseconds(rounds: int = 3) -> dict[str, float]:
    """The floor and its two parts."""
    products = sum(
        count * min(_best(run, rounds) for run in _ways(kind, shape))
        for (kind, shape), count in PRODUCTS.items()
    )
    adam = ADAM_PARAMETERS * _STREAMED / _bandwidth(rounds)
    return {
        "products": 1e3 * products,
        "adam": 1e3 * adam,
        "floor": 1e3 * (products + adam),
    }


def main() -> None:
    """Print milliseconds of a step's products, and of Adam's pass."""
    taken = {
        product: [1e3 * _best(run, rounds=3) for run in _ways(*product)]
        for product in PRODUCTS
    }
    for index, library in enumerate(("XLA", "NumPy", "PyTorch")):
        total = sum(PRODUCTS[each] * times[index] for each, times in taken.items())
        print(f"products by {library}: {total:.1f} ms")
    best = sum(PRODUCTS[each] * min(times) for each, times in taken.items())
    print(f"by the best at each shape: {best:.1f} ms")
    print(f"Adam: {milliseconds()['adam']:.1f} ms")


def _ways(kind: str, shape: Shape) -> list[Callable[[], object]]:
    """The same product by each library."""
    rows, n_in, n_out = shape
    rng = np.random.default_rng(0)
    x, w, g = (
        rng.normal(size=size).astype(np.float32)
        for size in ((rows, n_in), (n_in, n_out), (rows, n_out))
    )
    a, b, contract = {
        "forward": (x, w, (1, 0)),
        "weights": (x, g, (0, 0)),
        "inputs": (g, w, (1, 1)),
    }[kind]
    numpy_a = a if contract[0] == 1 else a.T
    numpy_b = b if contract[1] == 0 else b.T
    torch_a, torch_b = (torch.from_numpy(each) for each in (numpy_a, numpy_b))
    dimensions = (((contract[0],), (contract[1],)), ((), ()))
    in_xla = jax.jit(partial(jax.lax.dot_general, dimension_numbers=dimensions))
    jax_a, jax_b = jnp.asarray(a), jnp.asarray(b)
    return [
        lambda: in_xla(jax_a, jax_b).block_until_ready(),
        lambda: numpy_a @ numpy_b,
        lambda: torch_a @ torch_b,
    ]


def _best(run: Callable[[], object], rounds: int, repeats: int = 10) -> float:
    """Seconds of one call, the shortest of several rounds."""
    run()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(repeats):
            run()
        seconds.append((time.perf_counter() - began) / repeats)
    return min(seconds)


def _bandwidth(rounds: int) -> float:
    """Bytes a second that a pass over arrays too large for the caches moves."""
    n = 2**25
    a, b = jnp.ones(n), jnp.ones(n)
    add = jax.jit(lambda a, b: a + 2 * b, donate_argnums=0)

    def run() -> None:
        nonlocal a
        a = add(a, b).block_until_ready()

    return 3 * 4 * n / _best(run, rounds, repeats=3)


if __name__ == "__main__":
    main()
