"""The few threads that ask the model and change sessions, and what others ask of them.

Everything that changes a dialogue goes through their queue, which never gives two of them the same
session: it has one writer, and a change is answered once it is on disk.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mediround.dialogue import Dialogue, Entity, Round
from mediround.errors import MediRoundError
from mediround.imaging import Image, Modality
from mediround.server.features import FeatureDisk, RememberingModel
from mediround.server.gathering import gather
from mediround.server.history import ConflictError, History, Stored
from mediround.server.live import Live, LivePool
from mediround.server.queue import FairQueue, Job
from mediround.server.settings import ServerSettings
from mediround.server.uploads import Uploads
from mediround.session.boxes import Fit
from mediround.session.engine import Session
from mediround.session.model import Model
from mediround.session.source import Source, open_source

logger = logging.getLogger(__name__)

Told = Callable[[str], None]


class UnavailableError(MediRoundError):
    """The model is not there (yet), or has run out of memory."""


class SessionEngine:
    """Sessions of many people with one model.

    Args:
        load: returns the model; called in a thread of the engine.
        uploads: the images.
        history: the sessions.
        settings: bounds of queue, pool and memories.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        uploads: Uploads,
        history: History,
        settings: ServerSettings,
    ) -> None:
        self._load, self._uploads, self._history = load, uploads, history
        self._settings = settings
        self.queue = FairQueue(settings.waiting, settings.waiting_per_session)
        self.pool = LivePool(settings.live_sessions, settings.live_bytes)
        self.model: RememberingModel | None = None
        self.failure: BaseException | None = None
        self.finished: Callable[[str, float], None] = lambda _kind, _seconds: None
        self._lanes: list[threading.Thread] = [self._lane(self._begin)]

    def start(self) -> None:
        """Load the model, then work; returns at once."""
        self._lanes[0].start()

    def stop(self, seconds: float) -> None:
        """Take no more questions and finish those that wait, for at most ``seconds``."""
        self.queue.close()
        end = time.monotonic() + seconds
        for lane in self._lanes:
            lane.join(max(0.0, end - time.monotonic()))

    # Each of these lines up and returns at once; the job's result is the ``Stored`` session.

    def warm(self, stored: Stored) -> Job:
        """Encode the image before the first question."""
        return self._put("warm", stored, lambda _live, _job: stored)

    def ask(
        self,
        stored: Stored,
        query: str,
        told: Told | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> Job:
        """Ask; the result is the session and the number of the new round, counted from 0.

        ``told`` and ``on_start`` are called in the engine's thread.
        """

        def work(live: Live, job: Job) -> tuple[Stored, int]:
            def hear(text: str) -> None:
                job.check()
                if told is not None:
                    told(text)

            session = live.session
            session.ask(query, told=hear)
            job.check()
            each = session.dialogue.rounds[-1]
            kept = self._commit(live, stored, "ask", _asked(each))
            return kept, len(kept.dialogue.rounds) - 1

        return self._put("ask", stored, work, on_start)

    def replace(self, stored: Stored, number: int, mask: NDArray[np.bool_]) -> Job:
        """Correct a mask by hand."""
        return self._change(
            "replace", stored, lambda s: s.replace(number, mask), {"entity": number}
        )

    def rename(self, stored: Stored, number: int, name: str | None) -> Job:
        """Give an entity another name."""
        return self._change("rename", stored, lambda s: s.rename(number, name), {"entity": number})

    def add(self, stored: Stored, mask: NDArray[np.bool_], name: str | None) -> Job:
        """Bring in a mask without a question."""
        return self._change("give", stored, lambda s: s.add_mask(mask, name), {})

    def add_box(self, stored: Stored, box: Sequence[float], name: str | None, fit: Fit) -> Job:
        """Bring in a box's rectangle, or the structure in it, without a question."""
        detail = {"box": list(box), "fit": fit}
        return self._change("give", stored, lambda s: s.add_box(box, name, fit=fit), detail)

    def remove(self, stored: Stored, number: int) -> Job:
        """Take an entity's mask away; its number stays taken."""

        def work(live: Live, _job: Job) -> Stored:
            _ = live.session.entities[number]  # refuses a number that is not there
            changed = without_entity(live.session.dialogue, number)
            self.pool.drop(stored.id)
            detail = {"entity": number}
            return self._history.commit(stored.id, stored.owner, changed, "remove", detail)

        return self._put("remove", stored, work)

    def step(self, stored: Stored, by: int) -> Job:
        """Undo (-1) or redo (+1)."""

        def work(live: Live, _job: Job) -> Stored:
            kept = self._history.step(stored.id, stored.owner, by)
            moved = live.session.undo() if by < 0 else live.session.redo()
            if moved and live.session.dialogue == kept.dialogue:
                live.revision = kept.revision
            else:  # it was in memory only since a later version
                self.pool.drop(stored.id)
            return kept

        return self._put("undo" if by < 0 else "redo", stored, work)

    def _change(
        self,
        kind: str,
        stored: Stored,
        change: Callable[[Session], object],
        detail: Mapping[str, Any],
    ) -> Job:
        def work(live: Live, _job: Job) -> Stored:
            change(live.session)
            return self._commit(live, stored, kind, detail)

        return self._put(kind, stored, work)

    def _commit(self, live: Live, stored: Stored, kind: str, detail: Mapping[str, Any]) -> Stored:
        model = live.session.model
        about = {"model": model.name, "weights_sha256": model.weights_sha256, **detail}
        kept = self._history.commit(stored.id, stored.owner, live.session.dialogue, kind, about)
        live.revision = kept.revision
        return kept

    def _put(
        self,
        kind: str,
        stored: Stored,
        work: Callable[[Live, Job], Any],
        on_start: Callable[[], None] | None = None,
    ) -> Job:
        if self.failure is not None:
            raise UnavailableError("the model could not be loaded", remedy="ask the operator")

        def run(job: Job) -> Any:
            began = time.perf_counter()
            if self.model is None:
                raise UnavailableError("the model could not be loaded", remedy="ask the operator")
            try:
                # What holds now; the session may have changed while the job waited.
                now = self._history.get(stored.id, stored.owner)
                done = self._work(self.pool.get(now, self._build), job, work)
            except (torch.OutOfMemoryError, MemoryError) as error:
                self.pool.clear()
                self.model.forget()
                raise UnavailableError("the model ran out of memory", remedy="try again") from error
            self.pool.trim()
            self.finished(kind, time.perf_counter() - began)
            return done

        job = Job(stored.id, run, on_start, question=kind == "ask")
        self.queue.put(job)
        return job

    def _work(self, live: Live, job: Job, work: Callable[[Live, Job], Any]) -> Any:
        before = live.session.dialogue
        try:
            return work(live, job)
        except BaseException:
            if live.session.dialogue is not before:
                self.pool.drop(job.session)  # what is in memory is not what is on disk
            raise

    def _build(self, stored: Stored) -> Session:
        assert self.model is not None
        image, source = open_place(self._uploads, stored)
        return Session(self.model, image, source, stored.dialogue)

    @staticmethod
    def _lane(work: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=work, name="engine", daemon=True)

    def _begin(self) -> None:
        """Load the model, then start the other lanes and be one of them."""
        threads = torch.get_num_threads()
        lanes, share = 1, threads
        try:
            disk = FeatureDisk(self._settings.data / "features", self._settings.spill_bytes)
            model = RememberingModel(self._load(), disk, self._settings.feature_bytes)
            device = model.network.device
            lanes = self._settings.at_once
            share = max(1, threads // lanes)
            images = self._settings.together or together_for(device)
            gather(model.network, images=images, answers=lanes)
            self.pool.least = lanes
            self.model = model
        except BaseException as error:  # told to everybody who asks
            self.failure = error
            logger.exception("the model could not be loaded")
        others = [self._lane(lambda: self._work_on(share)) for _ in range(lanes - 1)]
        self._lanes += others
        for lane in others:
            lane.start()
        self._work_on(share)

    def _work_on(self, threads: int) -> None:
        # Each lane computes with its share: small operations gain little from more threads, and
        # a dialogue is mostly made of those.
        torch.set_num_threads(threads)
        while (job := self.queue.take()) is not None:
            job.run()
            del job  # a finished job must not keep its session in memory


def together_for(device: torch.device) -> int:
    """Images and masks of how many questions are computed as one.

    Each alone on a processor, where lanes side by side use its cores better.
    """
    return 1 if device.type == "cpu" else 4


def open_place(uploads: Uploads, stored: Stored) -> tuple[Image, Source]:
    """The 2-D image of a session, and where it lies in its volume."""
    place = stored.place
    opened = uploads.open(stored.image)
    modality = Modality(place["modality"])
    if opened.modality is not modality:
        opened = dataclasses.replace(opened, modality=modality)
    return open_source(opened, place["slice"], place["plane"], None)


def without_entity(dialogue: Dialogue, number: int) -> Dialogue:
    """``dialogue`` with entity ``number`` as an absent one.

    Raises:
        ConflictError: a later question names it, or its mask is gone already.
    """
    naming = [n for n, each in enumerate(dialogue.rounds, 1) if number in each.references]
    if naming:
        listed = ", ".join(str(n) for n in naming)
        raise ConflictError(
            f"[{number}] is named by the question of round {listed}",
            remedy="undo that question first, or correct the mask instead",
        )

    def emptied(entity: Entity) -> Entity:
        if entity.id != number:
            return entity
        if entity.mask is None:
            raise ConflictError(f"[{number}] has no mask")
        return entity.model_copy(
            update={
                "mask": None,
                "box": None,
                "score": None,
                "status": "absent",
                "box_prompt": None,
            }
        )

    rounds = tuple(
        each.model_copy(update={"entities": tuple(emptied(e) for e in each.entities)})
        for each in dialogue.rounds
    )
    given = tuple(emptied(entity) for entity in dialogue.given)
    return Dialogue(modality=dialogue.modality, given=given, rounds=rounds)


def _asked(each: Round) -> dict[str, Any]:
    """What the audit trail says of a round."""
    drawn = [
        {"entity": e.id, "score": e.score, "status": e.status, "parents": list(e.refers_to)}
        for e in each.entities
    ]
    return {"prompt": each.query, "masks": drawn}
