"""One stage of a training run, from its first step to the model folder that it leaves."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from mediround.errors import ConfigError, DatasetError
from mediround.imaging.output import ensure_folder
from mediround.model.folder import save_model
from mediround.training.curves import draw_stage
from mediround.training.pace import Pace
from mediround.training.progress import cosine
from mediround.training.run_log import Bar, RunLog
from mediround.training.staged.beginning import begin, rounded
from mediround.training.staged.buckets import Drawn, Plan
from mediround.training.staged.checkpoints import BEST_FILE, LAST_FILE, Checkpoints, Progress
from mediround.training.staged.devices import share_out
from mediround.training.staged.examples import Examples, Size
from mediround.training.staged.feature_cache import FeatureCache
from mediround.training.staged.look import Look
from mediround.training.staged.objective import Objective
from mediround.training.staged.optimiser_step import OptimiserStep, shown
from mediround.training.staged.provenance import metadata
from mediround.training.staged.quicker import quicken
from mediround.training.staged.recipe import DialogueRecipe
from mediround.training.staged.supply import Supply
from mediround.training.staged.talks import Split, Talk

logger = logging.getLogger(__name__)

MODEL_FOLDER = "model"


class Trainer:
    """Runs one stage.

    Args:
        recipe: the whole run.
        stage: 1 or 2.
        talks: dialogues by split.
        folder: of the run; the stage has its own below, features are shared.
        made: the processes.
        data: file -> SHA-256, for the checkpoints' heads.
        before: model folder that the stage before has left.

    Raises:
        ConfigError: the recipe does not fit the number of processes, or contradicts the weights.
        DatasetError: every dialogue is longer than the model's context.
    """

    def __init__(
        self,
        recipe: DialogueRecipe,
        stage: int,
        talks: Mapping[Split, Sequence[Talk]],
        folder: Path,
        made: Accelerator,
        *,
        data: Mapping[str, str],
        before: Path | None,
    ) -> None:
        self.recipe, self.stage, self.made = recipe, stage, made
        self.settings, self.before = recipe.stage(stage), before
        self.folder = folder / f"stage{stage}"
        if self.settings.dialogues % made.num_processes:
            raise ConfigError(
                f"{self.settings.dialogues} dialogues a step for {made.num_processes} processes",
                expected="a multiple of the processes",
            )
        self.model = begin(recipe, stage, before)
        self.model.to(made.device)
        objective = Objective(self.model, stage, self.settings.losses)
        self.objective = objective
        dtype = torch.float32 if recipe.execution.precision == "float32" else torch.bfloat16
        kept = folder / "features" if recipe.data.cache else None
        cache = FeatureCache(kept, objective.sight.digest(), dtype)
        self.examples = Examples(
            self.model, objective.sight, cache, recipe.data.augmentation, recipe.seed
        )
        self.talks, sizes = self._measured(talks["train"])
        self.unseen, unseen_sizes = self._measured(talks["validation"][: self.settings.validated])
        self.plan = Plan(
            sizes,
            dialogues=self.settings.dialogues,
            views=recipe.data.views,
            bucket_steps=recipe.execution.bucket_steps,
            seed=recipe.seed,
        )
        about = metadata(recipe, self.model.config, data)
        self.checkpoints = Checkpoints(self.folder, about, writes=made.is_main_process)
        self.progress = Progress(0, recipe.execution.micro_batch, recipe.execution.micro_tokens)
        if recipe.execution.fused:
            quicken(self.model.language.inner, made.device, max(size.length for size in sizes))
        self.unseen_drawn = [Drawn(n, 0, size) for n, size in enumerate(unseen_sizes)]

    def run(self, *, resume: bool) -> Path:
        """Train to the last step, or until validation gets no better.

        Args:
            resume: go on from what an earlier run left, where it left something.

        Returns:
            The model folder, with the best weights that validation found.

        Raises:
            ConfigError: the folder holds another run, or this one and ``resume`` is not set.
            OutputError: the folder cannot be written.
        """
        begun = self.checkpoints.state.exists()
        if begun and not resume:
            raise ConfigError(
                f"{self.folder} already holds a run", expected="an empty folder", remedy="--resume"
            )
        self.made.wait_for_everyone()  # nobody writes before everybody has looked
        ensure_folder(self.folder)
        wrapped, optimiser = self.prepare()
        if begun:
            self.progress = self.checkpoints.resume(wrapped, optimiser)
            logger.info("stage %d goes on at step %d", self.stage, self.progress.step)
        log = self._log()
        step = OptimiserStep(self.made, wrapped, optimiser, self.progress, self.settings.clip, log)
        look = Look(self.made, wrapped, self.examples, self.unseen, self.unseen_drawn, self.stage)
        try:
            self._loop(step, look, log)
        finally:
            if log is not None:
                log.close()
        self.checkpoints.save(wrapped, optimiser, self.progress)
        self.checkpoints.keep(LAST_FILE, wrapped, self.progress)
        return self._finish()

    def prepare(self) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        """The objective, wrapped for as many processes as there are, and its optimiser."""
        layers = self.model.language.inner.get_submodule("model.layers")
        share_out(self.made, next(layers.children()), self.objective.sight.frozen())
        parameters = [p for p in self.objective.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            parameters, lr=self.settings.rate, weight_decay=self.settings.decay
        )
        wrapped, optimiser = self.made.prepare(self.objective, optimiser)
        return wrapped, optimiser

    def _loop(self, step: OptimiserStep, look: Look, log: RunLog | None) -> None:
        settings, progress = self.settings, self.progress
        pace = Pace(settings.save_seconds)
        supply = self.supply()
        bar = Bar(
            f"stage {self.stage}",
            progress.step * settings.dialogues,
            settings.steps * settings.dialogues,
            "dialogue",
            shown=self.made.is_local_main_process,
        )
        try:
            while progress.step < settings.steps and not self._is_over():
                number = progress.step
                self._seed(number)
                rate = settings.rate * cosine(number, settings.steps, settings.warmup)
                held = supply.take(number, settings.steps)
                found = shown(step.carry_out(self.plan.step(number), held, rate), self.stage)
                progress.step = number + 1
                bar.advance(settings.dialogues, found)
                if log is not None and number % self.recipe.log.every == 0:
                    spent = pace.since(settings.dialogues)
                    log.log(step=number, rate=rate, padding=step.padding, **spent, **found)
                self._after(step, look, log, pace)
        finally:
            bar.close()
            supply.close()

    def _after(self, step: OptimiserStep, look: Look, log: RunLog | None, pace: Pace) -> None:
        """Validation and checkpoints, where they are due."""
        settings, progress = self.settings, self.progress
        done = progress.step
        last = done == settings.steps
        if look.possible and (done % settings.validate_every == 0 or last):
            found = look.take(progress)
            if log is not None:
                log.log(step=done, validation=found)
            better = progress.best is None or found["loss"] < progress.best
            progress.stale = 0 if better else progress.stale + 1
            if better:
                progress.best = found["loss"]
                self.checkpoints.keep(BEST_FILE, step.objective, progress)
        if settings.keep_every and done % settings.keep_every == 0:
            self.checkpoints.keep(f"step-{done:08d}.safetensors", step.objective, progress)
        if pace.is_due(self.made):
            self.checkpoints.save(step.objective, step.optimiser, progress)

    def _is_over(self) -> bool:
        return 0 < self.settings.patience <= self.progress.stale

    def _finish(self) -> Path:
        """Write the model folder: where parameters are shared out, through a copy of its own."""
        folder = self.folder / MODEL_FOLDER
        best = LAST_FILE if self.progress.best is None else BEST_FILE
        if self.made.is_main_process:
            model = self.model
            if self.made.is_fsdp2:
                model = begin(self.recipe, self.stage, self.before)
            whole = Objective(model, self.stage, self.settings.losses)
            self.checkpoints.load(best, whole)
            save_model(rounded(model), folder, self.checkpoints.about)
            if self.recipe.log.plot:
                draw_stage(self.folder, self.folder / "curves.png")
        self.made.wait_for_everyone()
        return folder

    def _measured(self, talks: Sequence[Talk]) -> tuple[list[Talk], list[Size]]:
        """Those that fit into the model's context, and what they cost."""
        context = self.model.language.context
        sizes = [self.examples.size(talk) for talk in talks]
        fitting = [place for place, size in enumerate(sizes) if size.length <= context]
        if talks and not fitting:
            raise DatasetError(
                f"every dialogue is longer than the model's context of {context} positions",
                remedy="build dialogues of fewer rounds",
            )
        if len(fitting) < len(talks):
            logger.warning(
                "%d of %d dialogues are longer than the context of %d positions and are left out",
                len(talks) - len(fitting), len(talks), context,
            )  # fmt: skip
        return [talks[place] for place in fitting], [sizes[place] for place in fitting]

    def supply(self) -> Supply:
        """This process' examples, step by step."""
        return Supply(
            self.examples,
            self.talks,
            self.plan,
            process=self.made.process_index,
            processes=self.made.num_processes,
            prefetch=self.recipe.execution.prefetch,
            autocast=self.made.autocast,
        )

    def _log(self) -> RunLog | None:
        if not self.made.is_main_process:
            return None
        wanted = self.recipe.log
        return RunLog(
            self.folder,
            tensorboard=wanted.tensorboard,
            wandb=wanted.wandb,
            wandb_mode=wanted.wandb_mode,
            settings=self.checkpoints.about,
        )

    def _seed(self, step: int) -> None:
        key = (self.recipe.seed, self.stage, step, self.made.process_index)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
