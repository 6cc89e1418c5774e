"""Several runs in one compiled program, which differ in their seeds alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from aae_jax.loop import Loop, LoopState, TrainingData

States = tuple[LoopState, ...]
Data = tuple[TrainingData, ...]
Loops = Callable[[States, Data, np.int32], States]


def together(loop: Loop) -> Loops:
    """A loop for runs that go in step: `loops(carries, data, until) -> carries`.

    Each run's numbers are those that it has alone, up to rounding; a single run's are
    the same bits. The runs share the images; their labels may differ. `carries` are
    donated.
    """

    @partial(jax.jit, donate_argnums=0)
    def abreast(carries: States, data: Data, until: np.int32) -> States:
        step, x = carries[0].state.step, data[0].x

        def go_on(carry: LoopState, y: Array | None, rows: Array | None) -> LoopState:
            # One step for all: with one for each the loop would test them all.
            state = replace(carry.state, step=step)
            return loop(replace(carry, state=state), TrainingData(x, y, rows), until)

        labels = _stack([(each.y, each.labelled) for each in data])
        done = jax.vmap(go_on)(_stack(carries), *labels)
        return tuple(
            jax.tree.map(lambda leaf, row=row: leaf[row], done)
            for row in range(len(carries))
        )

    def loops(
        carries: States, data: tuple[TrainingData, ...], until: np.int32
    ) -> States:
        if len(carries) == 1:
            return (loop(carries[0], data[0], until),)
        return abreast(carries, data, until)

    return loops


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
