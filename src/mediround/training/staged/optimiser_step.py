"""One step of the optimiser, in as many passes as memory allows."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mediround.errors import ConfigError
from mediround.training.run_log import RunLog
from mediround.training.staged.buckets import Drawn, padding, passes
from mediround.training.staged.checkpoints import Progress
from mediround.training.staged.devices import is_out_of_memory
from mediround.training.staged.example import Example
from mediround.training.staged.objective import Counts, StageLoss

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Numbers:
    """Sums over a step or a look: what logs show is derived from them.

    Attributes:
        terms: (4,), text, bce, dice and judge, weighted and divided by the step's counts.
        masks: how many.
        dice: summed over the masks.
        misjudged: absolute difference of score and IoU, summed.
    """

    terms: Tensor
    masks: Tensor
    dice: Tensor
    misjudged: Tensor

    @classmethod
    def of(cls, loss: StageLoss) -> "Numbers":
        """Of one pass."""
        terms = torch.stack([loss.text, loss.bce, loss.dice, loss.judge]).detach().float()
        misjudged = (loss.scores - loss.ious).abs().sum() if len(loss.scores) else terms[0] * 0
        masks = torch.tensor(float(len(loss.drawn)), device=terms.device)
        return cls(terms, masks, loss.drawn.sum().float(), misjudged.float())

    def packed(self) -> Tensor:
        """(7,), to be summed over processes."""
        return torch.cat([self.terms, torch.stack([self.masks, self.dice, self.misjudged])])


def shown(packed: Tensor, stage: int) -> dict[str, float]:
    """Summed :meth:`Numbers.packed` -> what logs show, by name."""
    text, bce, dice, judge, masks, overlap, misjudged = packed.tolist()
    found = {"loss": text + bce + dice + judge}
    found |= {"text": text} if stage == 1 else {"judge": judge}
    if bce or dice:
        found |= {"bce": bce, "dice": dice}
    if masks:
        found["Dice"] = overlap / masks
        if stage == 2:
            found["judge_error"] = misjudged / masks
    return found


class OptimiserStep:
    """Carries out steps; halves the passes when memory runs out, and says so.

    Args:
        made: the processes.
        objective: prepared, so maybe wrapped.
        optimiser: prepared.
        progress: holds the limits of a pass; they are changed here.
        clip: largest norm of the gradient.
        log: told when memory ran out.
    """

    def __init__(
        self,
        made: Accelerator,
        objective: nn.Module,
        optimiser: torch.optim.Optimizer,
        progress: Progress,
        clip: float,
        log: RunLog | None,
    ) -> None:
        self.made, self.objective, self.optimiser = made, objective, optimiser
        self.progress, self.clip, self.log = progress, clip, log
        self.padding = 0.0

    def carry_out(
        self, step: Sequence[Drawn], examples: Mapping[Drawn, Example], rate: float
    ) -> Tensor:
        """One step.

        Args:
            step: everything that belongs to it, of all processes; shortest first.
            examples: of this process.
            rate: learning rate.

        Returns:
            Summed numbers, as :func:`shown` takes them.

        Raises:
            ConfigError: memory does not suffice for a single dialogue, or has run out where the
                processes cannot agree on another size.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        while True:
            self.optimiser.zero_grad()
            found = self._attempt(step, examples)
            if found is not None:
                break
            self._halve()
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.made.clip_grad_norm_(parameters, self.clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return self.made.reduce(found, "sum")  # type: ignore[no-any-return]  # modules return Any

    def _attempt(self, step: Sequence[Drawn], examples: Mapping[Drawn, Example]) -> Tensor | None:
        """Gradients of a step, in this process; None when memory ran out in any."""
        counts = Counts(sum(e.size.words for e in step), sum(e.size.masks for e in step))
        made, limits = self.made, self.progress
        own = passes(
            step,
            made.process_index,
            made.num_processes,
            most=limits.micro_batch,
            tokens=limits.micro_tokens,
        )
        self.padding = padding(own)
        total: Tensor | None = None
        failed = False
        for place, drawn in enumerate(own):
            last = place == len(own) - 1
            if last and self._any(failed):
                return None
            if failed:
                continue
            quiet = contextlib.nullcontext() if last else made.no_sync(self.objective)
            batch = [examples[each] for each in drawn]
            try:
                with quiet:
                    found = self._forwards_and_backwards(batch, counts)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._agree_or_stop(error, last=last)
                failed = True
                if last:
                    return None
            else:
                total = found if total is None else total + found
        assert total is not None
        return total

    def _forwards_and_backwards(self, batch: Sequence[Example], counts: Counts) -> Tensor:
        with self.made.autocast():
            loss: StageLoss = self.objective(batch, counts)
        # Gradients are averaged over processes, but the losses are parts of one sum.
        self.made.backward(loss.total * self.made.num_processes)
        return Numbers.of(loss).packed()

    def _any(self, failed: bool) -> bool:
        """Whether memory ran out in any process; all of them ask before the last pass."""
        if self.made.num_processes == 1:
            return failed
        flag = torch.tensor(float(failed), device=self.made.device)
        return bool(self.made.reduce(flag, "sum") > 0)

    def _agree_or_stop(self, error: BaseException, *, last: bool) -> None:
        """Where other processes already wait for this one, nothing but stopping is left."""
        if self.made.num_processes > 1 and (last or self.made.is_fsdp2):
            raise ConfigError(
                f"memory ran out with {self.progress.micro_batch} dialogues in a pass",
                expected="passes that fit",
                remedy="lower execution.micro_batch or execution.micro_tokens, then --resume",
            ) from error

    def _halve(self) -> None:
        progress = self.progress
        if progress.micro_batch == 1:
            raise ConfigError(
                "memory does not suffice for one dialogue",
                remedy="set execution.checkpointing = true, or use a larger device",
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        progress.micro_batch = max(1, progress.micro_batch // 2)
        progress.micro_tokens = max(1, progress.micro_tokens // 2)
        logger.warning("memory ran out: passes of %d dialogues from here on", progress.micro_batch)
        if self.log is not None:
            self.log.log(event="out of memory", micro_batch=progress.micro_batch)
