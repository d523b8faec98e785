"""Three ways to hold the same dialogue; see ``rounds.py``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import mediround
from mediround import weights
from mediround.dialogue import Dialogue
from mediround.imaging import Image, Modality, Volume, open_image
from mediround.model.kv_cache import KeyValueCache
from mediround.model.mediround import ImageFeatures
from mediround.prompt import IMAGE_KEY
from mediround.session import Model, Session
from mediround.session.source import Source
from paper_sizes import SIZES, build


@dataclass(frozen=True)
class Plan:
    """What is asked; everything a child process needs to ask it too."""

    model: str
    device: str
    threads: int
    rounds: int
    free: bool
    image: str | None
    dtype: str | None = None
    low_bit: str | None = None

    @property
    def random(self) -> bool:
        """Whether the weights are random, with the paper's dimensions."""
        return self.model in SIZES

    def query(self, dialogue: Dialogue) -> str:
        """The next question; it refers to the newest mask, if there is one."""
        masks = [entity.id for entity in dialogue.entities() if entity.mask is not None]
        if self.random:  # about as many bytes as the other questions have tokens
            return f"Near [{masks[-1]}]?" if masks else "The liver."
        if not masks:
            return "Segment the liver, please."
        return f"And now the structure that lies just behind [{masks[-1]}], please."

    def text(self, dialogue: Dialogue) -> str | None:
        """The next answer; None where the model speaks."""
        if self.free:
            return None
        number = 1 + sum(1 for _ in dialogue.entities())
        if self.random:
            return f"It is [{number}]."
        return "The liver is [1]." if number == 1 else f"It is [{number}]."

    def load(self) -> tuple[Model, Image]:
        """The model, and the picture that is talked about."""
        torch.set_num_threads(self.threads)
        picture = _picture(self.image)
        if self.random:
            dtype = self.dtype or "bfloat16"
            return build(self.model, self.device, dtype, self.low_bit), picture
        loaded = mediround.load(
            self.model, device=self.device, dtype=self.dtype, low_bit=self.low_bit
        )
        return loaded, picture


def _picture(path: str | None) -> Image:
    if path == "noise":
        values = np.random.default_rng(0).integers(0, 255, (512, 512)).astype(np.uint8)
        return Image.from_array(values, modality=Modality.CT)
    opened = open_image(weights.path("sample-ct") / "cxr.nii.gz" if path is None else path)
    return opened.slice(opened.count() // 2) if isinstance(opened, Volume) else opened


def _forgetful(model: Model) -> Model:
    """The same network without any remembered image."""
    return Model(model.network, model.name, model.weights_sha256)


class Kept:
    """The session as it is shipped; opening it is part of the first round."""

    def __init__(self, model: Model, image: Image, plan: Plan) -> None:
        self.model, self.image, self.plan = _forgetful(model), image, plan
        self.session: Session | None = None

    def ask(self) -> None:
        """The next round."""
        if self.session is None:
            self.session = self.model.open(self.image)
        said = self.session.dialogue
        self.session.ask(self.plan.query(said), text=self.plan.text(said))


class Anew:
    """A new session every round, on a model that remembers nothing.

    The last round costs what every round of the official loop costs, which reads the dialogue to
    its end each time, and decodes all masks besides.
    """

    def __init__(self, model: Model, image: Image, plan: Plan) -> None:
        self.model, self.image, self.plan = model, image, plan
        self.dialogue = Dialogue(modality=image.modality.value)

    def follow(self, dialogue: Dialogue) -> None:
        """Go on from what another loop has said, so that both do the same work."""
        self.dialogue = dialogue

    def ask(self) -> None:
        """The next round."""
        fresh, said = _forgetful(self.model), self.dialogue
        session = Session(fresh, self.image, Source(), said, keep_cache=False)
        session.ask(self.plan.query(said), text=self.plan.text(said))
        self.dialogue = session.dialogue


class Parts:
    """The network's unavoidable work for a dialogue that has been held."""

    def __init__(self, model: Model, image: Image, plan: Plan) -> None:
        self.model, self.image, self.plan = _forgetful(model), image, plan
        self.cache = KeyValueCache()
        self.read = self.question = self.answer = self.masks = 0
        self.marks: list[tuple[NDArray[np.float32], ...]] = []
        self.seen: set[int] = set()
        self.new_tokens: list[int] = []

    def prepare(self, dialogue: Dialogue) -> None:
        """Count what the last round of ``dialogue`` brought."""
        prompter = self.model.network.prompter
        *earlier, last = dialogue.rounds
        first = 1 + sum(len(each.entities) for each in earlier)
        prompt = prompter.write(earlier, last.query)
        self.answer = len(prompter.answer(last.text, first))
        self.question = len(prompt.ids) - self.read
        self.masks = sum(entity.mask is not None for entity in last.entities)
        self.read = len(prompt.ids) + self.answer
        new = {slot.key for slot in prompt.slots} - {IMAGE_KEY} - self.seen
        masks = [each.mask for each in dialogue.entities() if each.id in new and each.mask]
        view = self.model.encode(self.image).view if masks else None
        self.marks = [view.mark(mask.decode()) for mask in masks if view is not None]
        self.seen |= new
        self.new_tokens.append(self.question + self.answer)

    @torch.inference_mode()
    def ask(self) -> None:
        """The work of the round that was prepared."""
        network, language = self.model.network, self.model.network.language
        features = self.model.encode(self.image).features
        for mark in self.marks:
            network.refer(features, *(torch.from_numpy(each).to(network.device) for each in mark))
        one = language.embed(torch.zeros(1, dtype=torch.long, device=features.tokens.device))
        if self.plan.free:
            hidden = language(one.expand(1, self.question, -1), self.cache)[0, -1]
            for _ in range(self.answer):
                token = language.logits(hidden).argmax()
                hidden = language(language.embed(token[None, None]), self.cache)[0, -1]
            language.logits(hidden)
        else:
            count = self.question + self.answer
            hidden = language(one.expand(1, count, -1), self.cache)[0, -1]
        if self.masks:
            network.draw(features, hidden[None].expand(self.masks, -1))


class Encodings:
    """Counts how often a network looks at an image and at an earlier mask."""

    def __init__(self, model: Model) -> None:
        network, self.images, self.crops = model.network, 0, 0
        see, refer = network.see, network.refer

        def seeing(*pixels: torch.Tensor) -> ImageFeatures:
            self.images += 1
            return see(*pixels)

        def referring(image: ImageFeatures, *mark: torch.Tensor) -> torch.Tensor:
            self.crops += 1
            return refer(image, *mark)

        # A module takes no function of another type in a method's place but by this way.
        network.__dict__.update(see=seeing, refer=referring)

    def taken(self) -> tuple[int, int]:
        """Images and crops since the last call."""
        found, self.images, self.crops = (self.images, self.crops), 0, 0
        return found


def differing(one: Dialogue, other: Dialogue) -> list[int]:
    """Pixels that differ in each mask of the last rounds."""
    pairs = zip(one.rounds[-1].entities, other.rounds[-1].entities, strict=True)
    return [int((a.mask.decode() != b.mask.decode()).sum()) for a, b in pairs if a.mask and b.mask]
