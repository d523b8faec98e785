"""A look at validation dialogues: the loss of the stage on patients that it does not learn from."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import nn

from mediround.training.staged.buckets import Drawn, passes
from mediround.training.staged.checkpoints import Progress
from mediround.training.staged.examples import Examples
from mediround.training.staged.objective import Counts
from mediround.training.staged.optimiser_step import Numbers, shown
from mediround.training.staged.talks import Talk


class Look:
    """Always the same dialogues, with gold text and gold references.

    Args:
        made: the processes.
        objective: prepared, so maybe wrapped.
        examples: makes examples.
        talks: of which.
        drawn: all of them; as many are left out as do not divide among the processes.
        stage: 1 or 2.
    """

    def __init__(
        self,
        made: Accelerator,
        objective: nn.Module,
        examples: Examples,
        talks: Sequence[Talk],
        drawn: Sequence[Drawn],
        stage: int,
    ) -> None:
        self.made, self.objective, self.examples = made, objective, examples
        self.talks, self.stage = talks, stage
        kept = sorted(drawn, key=lambda each: (each.size.length, each.number))
        self.drawn = kept[: len(kept) - len(kept) % made.num_processes]

    @property
    def possible(self) -> bool:
        """Whether there is anything to look at."""
        return any(each.size.masks for each in self.drawn)

    @torch.no_grad()
    def take(self, progress: Progress) -> dict[str, float]:
        """Losses and Dice, by name; every process must call."""
        counts = Counts(
            sum(each.size.words for each in self.drawn), sum(each.size.masks for each in self.drawn)
        )
        own = passes(
            self.drawn,
            self.made.process_index,
            self.made.num_processes,
            most=progress.micro_batch,
            tokens=progress.micro_tokens,
        )
        total = torch.zeros(7, device=self.made.device)
        for held in own:
            with self.made.autocast():
                batch = [self.examples.make(self.talks[each.number]) for each in held]
                total += Numbers.of(self.objective(batch, counts)).packed()
        return shown(self.made.reduce(total, "sum"), self.stage)
