"""How long a training is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The numbers of a resolved config that the host counts by.

    Attributes:
      phases: their names, in the order in which a step runs them.
      total_steps, steps_per_epoch, batch_size: see `Config`.
      quiet: shows no progress.
    """

    phases: tuple[str, ...]
    total_steps: int
    steps_per_epoch: int
    batch_size: int
    quiet: bool = False

    def epoch_end(self, step: int) -> int:
        """The first step after `step` at which an epoch, or the training, ends."""
        end = (step // self.steps_per_epoch + 1) * self.steps_per_epoch
        return min(end, self.total_steps)

    def steps_of_epoch(self, step: int) -> int:
        """How many steps of its epoch are done after `step` of them, 1 or more."""
        return (step - 1) % self.steps_per_epoch + 1
