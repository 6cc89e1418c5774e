"""Several runs in one compiled program, which differ in their seeds alone."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aae_jax.loop import Loop, LoopState
from aae_jax.windows import Window

States = tuple[LoopState, ...]
Windows = tuple[Window, ...]
Loops = Callable[[States, Windows, np.int32], States]


def together(loop: Loop) -> Loops:
    """A loop for runs that go in step: `loops(carries, windows, until) -> carries`.

    Each run's numbers are those that it has alone, up to rounding; a single run's are
    the same bits. Their windows are of one kind and begin with the same step; images in
    memory are the same ones, while labels and orders may differ. `carries` are donated.
    """

    @partial(jax.jit, donate_argnums=0)
    def abreast(carries: States, windows: Windows, until: np.int32) -> States:
        step, first = carries[0].state.step, windows[0]

        def go_on(carry: LoopState, own: dict[str, Any]) -> LoopState:
            # One step for all: with one for each the loop would test them all.
            state = replace(carry.state, step=step)
            return loop(replace(carry, state=state), replace(first, **own), until)

        own = [_own(window) for window in windows]
        done = jax.vmap(go_on)(_stack(carries), _stack(own))
        return tuple(
            jax.tree.map(lambda leaf, row=row: leaf[row], done)
            for row in range(len(carries))
        )

    def loops(carries: States, windows: Windows, until: np.int32) -> States:
        if len(carries) == 1:
            return (loop(carries[0], windows[0], until),)
        return abreast(carries, windows, until)

    return loops


def _own(window: Window) -> dict[str, Any]:
    """The fields of a window that each run has of its own."""
    names = [field.name for field in fields(window) if field.name not in window.COMMON]
    return {name: getattr(window, name) for name in names}


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
