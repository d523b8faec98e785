"""What can be asked about one scene in the words of one split, derived once for all dialogues."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property

from mediround.anatomy import Atlas
from mediround.data.dialogues.settings import DialogueSettings
from mediround.data.scene.relations import Link, Scene
from mediround.data.scene.relations_wide import WideLink, wide_links
from mediround.data.words import chinese, wording

AnyLink = Link | WideLink

FAR_REGIONS: Mapping[str, frozenset[str]] = {
    "abdomen": frozenset({"brain"}),
    "thorax": frozenset({"brain", "pelvis"}),
    "trunk": frozenset({"brain"}),
    "heart": frozenset({"brain", "pelvis"}),
    "pelvis": frozenset({"brain", "heart"}),
    "limb": frozenset({"brain", "heart", "abdomen"}),
    "brain": frozenset({"abdomen", "thorax", "heart", "pelvis"}),
}
"""Regions of the body that an image of a region cannot show, neighbours left out on purpose."""


def absent_names(
    present: Collection[str], region_names: Collection[str], atlas: Atlas
) -> tuple[str, ...]:
    """Structures that this image cannot show, because they belong to a distant region.

    Tumours are never among them: nobody can know from the labels that there is none.
    Empty when the region of a structure that is present is unknown: no guess about what a picture
    of an unknown part of the body lacks.
    """
    regions = set()
    for name in present:
        known = atlas.find(name)
        if known is None:
            return ()
        regions.add(known.body_region)
    far = frozenset.intersection(*(FAR_REGIONS.get(region, frozenset()) for region in regions))
    return tuple(
        entity.name
        for entity in atlas
        if entity.body_region in far
        and entity.system != "lesion"
        and entity.name not in region_names
    )


class Repertoire:
    """The questions that a scene allows.

    Args:
        scene: the measured structures.
        split: which words may be used; links without words are left out.
        min_pixels: structures smaller than this are neither asked for nor referred to.
        language: of the words.
    """

    def __init__(
        self,
        scene: Scene,
        split: wording.Split,
        min_pixels: int,
        language: wording.Language = "en",
    ) -> None:
        self.scene, self.split, self.language = scene, split, language
        self.usable = tuple(n for n, s in scene.shapes.items() if s.area >= min_pixels)
        self._usable = frozenset(self.usable)
        self.links = tuple(
            link
            for link in scene.links
            if self._shows(link) and wording.phrases(link.kind, split, link.fact, language)
        )
        self._targets: dict[object, set[str]] = {}
        for link in self.links:
            self._targets.setdefault(link.question, set()).add(link.target)
        self._far: dict[tuple[str, ...], tuple[str, ...]] = {}

    @classmethod
    def of(
        cls, scene: Scene, settings: DialogueSettings, language: wording.Language = "en"
    ) -> Repertoire:
        """The repertoire of a scene under these settings, kept with the scene."""
        wanted = (settings.wording_split, settings.min_pixels, language)
        key = (cls, wanted)
        if key not in scene.kept:
            scene.kept[key] = cls(scene, *wanted)
        found = scene.kept[key]
        assert isinstance(found, cls)  # nobody else keeps anything under this key
        return found

    def needs_reference(self, link: Link) -> bool:
        """Whether the words of ``link`` lead to another structure from another reference."""
        return len(self._targets[link.question]) > 1

    def far_absent(self, region_names: tuple[str, ...]) -> tuple[str, ...]:
        """See :func:`absent_names`."""
        if region_names not in self._far:
            self._far[region_names] = absent_names(
                self.scene.shapes, region_names, self.scene.atlas
            )
        return self._far[region_names]

    @cached_property
    def all_links(self) -> tuple[AnyLink, ...]:
        """The links of the default mixture and the wider ones."""
        return (*self.links, *(link for link in wide_links(self.scene) if self._shows(link)))

    @cached_property
    def by_question(self) -> Mapping[object, tuple[AnyLink, ...]]:
        """All links with the same words."""
        grouped: dict[object, list[AnyLink]] = {}
        for link in self.all_links:
            grouped.setdefault(link.question, []).append(link)
        return {question: tuple(links) for question, links in grouped.items()}

    @cached_property
    def by_kind(self) -> Mapping[str, tuple[AnyLink, ...]]:
        """All links of a kind, kinds in alphabetical order."""
        kinds = sorted({link.kind for link in self.all_links})
        return {kind: tuple(x for x in self.all_links if x.kind is kind) for kind in kinds}

    @cached_property
    def pairs(self) -> tuple[tuple[str, str, str], ...]:
        """Left, right and common name of pairs of which both are shown."""
        found = []
        for name in self.usable:
            known = self.scene.atlas.find(name)
            if known is None or known.laterality != "left" or not known.together:
                continue
            if known.pair is not None and known.pair in self._usable:
                plural = chinese.unsided(name) if self.language == "zh" else known.together[0]
                found.append((name, known.pair, plural))
        return tuple(found)

    @cached_property
    def makers(self) -> tuple[tuple[str, str, str], ...]:
        """Structures that alone make a substance: name, noun, substance."""
        atlas = self.scene.atlas
        found = []
        for name in self.usable:
            known = atlas.find(name)
            for substance in () if known is None else known.relations.get("produces", ()):
                if known is not None and len(atlas.inverse(substance, "produces")) == 1:
                    found.append((name, known.noun, substance))
        return tuple(found)

    def _shows(self, link: AnyLink) -> bool:
        return self._usable.issuperset((*link.references, link.target))
