"""Several runs in one compiled program, which differ in their seeds alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from aae_jax.loop import Loop, LoopState, Window

States = tuple[LoopState, ...]
Windows = tuple[Window, ...]
Loops = Callable[[States, Windows, np.int32], States]


def together(loop: Loop) -> Loops:
    """A loop for runs that go in step: `loops(carries, windows, until) -> carries`.

    Each run's numbers are those that it has alone, up to rounding; a single run's are
    the same bits. The runs share the images; labels and orders may differ. `carries`
    are donated.
    """

    @partial(jax.jit, donate_argnums=0)
    def abreast(carries: States, windows: Windows, until: np.int32) -> States:
        step, first = carries[0].state.step, windows[0]

        def go_on(
            carry: LoopState, y: Array | None, rows: Array, labelled: Array | None
        ) -> LoopState:
            # One step for all: with one for each the loop would test them all.
            state = replace(carry.state, step=step)
            window = Window(first.x, y, rows, labelled, first.first_step)
            return loop(replace(carry, state=state), window, until)

        own = [(each.y, each.rows, each.labelled_rows) for each in windows]
        done = jax.vmap(go_on)(_stack(carries), *_stack(own))
        return tuple(
            jax.tree.map(lambda leaf, row=row: leaf[row], done)
            for row in range(len(carries))
        )

    def loops(carries: States, windows: Windows, until: np.int32) -> States:
        if len(carries) == 1:
            return (loop(carries[0], windows[0], until),)
        return abreast(carries, windows, until)

    return loops


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
