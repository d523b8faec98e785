"""What answers look like on the wire, documented in OpenAPI."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlencode

from pydantic import BaseModel

from mediround.dialogue import Dialogue, Entity, Rle, Round, Status
from mediround.imaging.overlay import colour_of
from mediround.server.history import Listed, Stored
from mediround.server.uploads import Upload
from mediround.session.boxes import Fit
from mediround.session.export_offer import refused_formats

PlaneName = Literal["axial", "coronal", "sagittal"]
THUMBNAIL = 160


class Refusal(BaseModel):
    """Why something was not done; ``type`` is stable, the rest is for people."""

    type: str
    found: str
    expected: str = ""
    remedy: str = ""


class ModelView(BaseModel):
    """Which weights answered."""

    name: str
    weights_sha256: str


class Directions(BaseModel):
    """The patient's side at each edge: R, L, A, P, S or I."""

    left: str
    right: str
    top: str
    bottom: str


class PlaneView(BaseModel):
    """The slices of a plane; ``size`` (h, w) in pixels, ``spacing`` (rows, columns) in mm."""

    count: int
    size: tuple[int, int]
    spacing: tuple[float, float] | None
    directions: Directions | None


class ImageView(BaseModel):
    """An uploaded image or volume."""

    id: str
    created: str
    sha256: str
    kind: Literal["image", "volume"]
    modality: str
    unit: str | None
    colour: bool
    native_plane: PlaneName | None
    planes: dict[str, PlaneView]

    @classmethod
    def of(cls, upload: Upload) -> ImageView:
        """From disk."""
        own = {"id": upload.id, "created": upload.created, "sha256": upload.sha256}
        return cls.model_validate({**own, **upload.about})


class Images(BaseModel):
    """A user's images."""

    images: list[ImageView]


class EntityView(BaseModel):
    """One numbered structure; ``removed``: a person deleted it, its number stays taken.

    ``box_prompt``: the box that a person drew, in which the model found the mask. ``round`` counts
    from 1, null for a mask without a question. ``mask`` is COCO run-length code in the pixels of
    the image.
    """

    id: int
    name: str | None
    status: Status
    score: float | None
    box: tuple[float, float, float, float] | None
    refers_to: tuple[int, ...]
    box_prompt: tuple[float, float, float, float] | None
    round: int | None
    removed: bool
    colour: tuple[int, int, int]
    mask: Rle | None

    @classmethod
    def of(cls, entity: Entity, number: int | None, text: str | None) -> EntityView:
        """``number`` and ``text`` of the round that brought it."""
        absent = entity.status == "absent"
        return cls(
            **entity.model_dump(exclude={"mask"}),
            mask=entity.mask,
            round=number,
            removed=absent and (text is None or f"[{entity.id}]" in text),
            colour=colour_of(entity.id),
        )


class RoundView(BaseModel):
    """A question and its answer, with the numbers of what it brought."""

    query: str
    text: str
    entities: list[int]


class Window(BaseModel):
    """With which people look at the stored values."""

    center: float
    width: float


class SessionView(BaseModel):
    """A session in one piece; ``revision`` grows with each change.

    ``exports``: the formats that work now; ``exports_refused``: the others, with the reason.
    """

    id: str
    title: str
    created: str
    updated: str
    revision: int
    image: str
    modality: str
    plane: PlaneName | None
    slice: int | None
    slices: int
    size: tuple[int, int]
    spacing: tuple[float, float] | None
    directions: Directions | None
    window: Window
    model: ModelView
    can_undo: bool
    can_redo: bool
    busy: bool
    rounds: list[RoundView]
    entities: list[EntityView]
    exports: list[str]
    exports_refused: dict[str, str]

    @classmethod
    def of(cls, stored: Stored, *, busy: bool) -> SessionView:
        """From disk."""
        own = {"sha256", "exports"}
        place = {key: value for key, value in stored.place.items() if key not in own}
        allowed = stored.place["exports"]
        refused = refused_formats(stored.dialogue, allowed)
        return cls(
            **place,
            exports=[name for name in allowed if name not in refused],
            exports_refused=refused,
            id=stored.id,
            title=stored.title,
            created=stored.created,
            updated=stored.updated,
            revision=stored.revision,
            image=stored.image,
            model=ModelView(name=stored.model, weights_sha256=stored.weights_sha256),
            can_undo=stored.can_undo,
            can_redo=stored.can_redo,
            busy=busy,
            rounds=[_round(each) for each in stored.dialogue.rounds],
            entities=entities_of(stored.dialogue),
        )


class SessionLine(BaseModel):
    """A session in a list."""

    id: str
    title: str
    created: str
    updated: str
    image: str
    modality: str
    plane: PlaneName | None
    slice: int | None
    rounds: int
    entities: int
    thumbnail: str

    @classmethod
    def of(cls, listed: Listed) -> SessionLine:
        """From disk."""
        plane, index = listed.place["plane"], listed.place["slice"]
        which = {} if plane is None else {"plane": plane, "index": index}
        query = urlencode({**which, "max_side": THUMBNAIL})
        return cls(
            id=listed.id,
            title=listed.title,
            created=listed.created,
            updated=listed.updated,
            image=listed.image,
            modality=listed.place["modality"],
            plane=plane,
            slice=index,
            rounds=listed.rounds,
            entities=listed.entities,
            thumbnail=f"/v1/images/{listed.image}/slice.png?{query}",
        )


class Sessions(BaseModel):
    """A user's sessions, the last used first."""

    sessions: list[SessionLine]


class TurnView(BaseModel):
    """One answer with its entities."""

    query: str
    text: str
    entities: list[EntityView]

    @classmethod
    def of(cls, dialogue: Dialogue, index: int) -> TurnView:
        """Round ``index`` from 0."""
        each = dialogue.rounds[index]
        found = [EntityView.of(entity, index + 1, each.text) for entity in each.entities]
        return cls(query=each.query, text=each.text, entities=found)


class Answered(BaseModel):
    """A round, and the session with it."""

    turn: TurnView
    session: SessionView


class Version(BaseModel):
    """One step of a session's history."""

    number: int
    at: str
    change: str


class Versions(BaseModel):
    """All steps that undo and redo reach, and the current one."""

    versions: list[Version]
    now: int


class SampleView(BaseModel):
    """An image that comes with the program; ``available``: its file is on this machine.

    ``slice`` is one that shows much, of a volume.
    """

    name: str
    title: str
    description: str
    available: bool
    slice: int | None


class Samples(BaseModel):
    """All samples."""

    samples: list[SampleView]


class Limits(BaseModel):
    """What one request may hold."""

    upload_bytes: int
    mask_bytes: int
    query_characters: int
    pixels: int
    voxels: int


class Info(BaseModel):
    """What this server is; ``model`` is null while it is being loaded.

    ``box_fits``: what a box may be taken for with this model; null as long as ``model`` is.
    """

    version: str
    model: ModelView | None
    box_fits: list[Fit] | None
    notice: str
    auth: bool
    user: str
    limits: Limits
    exports: list[str]
    palette: list[tuple[int, int, int]]


def entities_of(dialogue: Dialogue) -> list[EntityView]:
    """All entities in the order of their numbers."""
    found = [EntityView.of(entity, None, None) for entity in dialogue.given]
    for number, each in enumerate(dialogue.rounds, 1):
        found += [EntityView.of(entity, number, each.text) for entity in each.entities]
    return sorted(found, key=lambda entity: entity.id)


def _round(each: Round) -> RoundView:
    return RoundView(query=each.query, text=each.text, entities=[e.id for e in each.entities])
