// The view in three dimensions: the whole volume with the masks of all its dialogues.

import { openSession } from "../actions";
import { api } from "../api";
import { byId, h, iconButton } from "../dom";
import type { ImageInfo, Labelled, Labels } from "../protocol";
import type { Triple } from "../space/grid";
import type { Layout, Scene } from "../space/scene";
import { lookOf, note, now, update, watch } from "../store";
import { attempt } from "../trouble";
import type { Viewer } from "../view/viewer";

const LAYOUTS: readonly [Layout, string][] = [
  ["all", "All planes and 3D"],
  ["render", "3D"],
  ["axial", "Axial"],
  ["coronal", "Coronal"],
  ["sagittal", "Sagittal"],
];
const [FINE, COARSE] = [256, 128];
const SOFTWARE = /swiftshader|llvmpipe|software|basic render/i;
const STEP = 5;
const MOVES: Record<string, Triple> = {
  ArrowLeft: [1, 0, 0],
  ArrowRight: [-1, 0, 0],
  ArrowUp: [0, 1, 0],
  ArrowDown: [0, -1, 0],
  PageUp: [0, 0, 1],
  PageDown: [0, 0, -1],
};

/** What is open; another image or a closed view makes it stale. */
interface Shown {
  scene: Scene;
  image: ImageInfo;
  /** Most voxels along a side. */
  longest: number;
  labels: Labels;
  layout: Layout;
  at: Triple;
}

export function mountSpace(viewer: Viewer): void {
  const place = byId("space");
  let shown: Shown | null = null;
  watch((s) => [s.space, s.image], (open, image) => {
    place.hidden = !open;
    place.classList.remove("ready");
    shown?.scene.close();
    shown = null;
    place.replaceChildren();
    if (!open || !image) return;
    place.append(h("p", { class: "space-wait", role: "status" }, "Loading the volume …"));
    const wanted = () => now().space && now().image === image;
    void attempt(async () => {
      const made = await build(place, image, viewer, wanted);
      if (made && wanted()) shown = made;
      else made?.scene.close();
    }).then((done) => !done && wanted() && update({ space: false }));
  });
  watch((s) => [s.session], () => {
    const mine = shown;
    if (!mine) return;
    void attempt(async () => {
      mine.labels = await api.labels(mine.image.id, mine.longest);
      if (shown !== mine) return;
      await mine.scene.mark(mine.labels, paint);
      place.querySelector(".space-list")?.replaceWith(legend(mine.labels));
    });
  });
  watch((s) => [s.looks, s.opacity], () => shown?.scene.paint(paint));
  watch((s) => [s.outline], (outline) => shown && (shown.scene.outline = outline));
  watch((s) => [s.window], () => shown && (shown.scene.window = viewer.window));
}

function paint(each: Labelled): [number, number, number, number] {
  const { session, opacity } = now();
  const look = each.session === session?.id ? lookOf(each.number) : null;
  return [...each.colour, look?.hidden ? 0 : opacity * (look?.opacity ?? 1)];
}

/** Voxels along a side that this machine can turn; null where it shows no three dimensions. */
function side(): number | null {
  const graphics = document.createElement("canvas").getContext("webgl2");
  if (!graphics) return null;
  const named = graphics.getExtension("WEBGL_debug_renderer_info");
  const renderer = named ? String(graphics.getParameter(named.UNMASKED_RENDERER_WEBGL)) : "";
  graphics.getExtension("WEBGL_lose_context")?.loseContext();
  return SOFTWARE.test(renderer) ? COARSE : FINE;
}

/** Fill `place`; null when nobody wants it any more. */
async function build(
  place: HTMLElement,
  image: ImageInfo,
  viewer: Viewer,
  wanted: () => boolean,
): Promise<Shown | null> {
  const longest = side();
  if (longest === null) {
    note("This browser cannot show three dimensions: WebGL 2 is missing or off.", "error");
    update({ space: false });
    return null;
  }
  const [module, file, labels] = await Promise.all([
    import("../space/scene"),
    api.volume(image.id, longest),
    api.labels(image.id, longest),
  ]);
  if (!wanted()) return null;
  const canvas = h("canvas", {
    tabindex: "0",
    role: "img",
    "aria-label": "The volume in three planes and in the round",
    on: { keydown: (event) => keys(event, made) },
  });
  const probe = h("p", { class: "space-probe" });
  const scene = new module.Scene((at) => {
    made.at = at;
    const slices = Object.entries(labels.axes).map(
      ([plane, axis]) => `${plane} ${scene.sliceAt(labels, axis, at) + 1}`,
    );
    probe.textContent = slices.join(" · ");
  });
  const made: Shown = { scene, image, longest, labels, layout: "all", at: [0, 0, 0] };
  place.replaceChildren(h("div", { class: "space-canvas" }, canvas), bar(made), legend(labels), probe);
  try {
    await scene.open(canvas, file, Object.values(image.planes).some((each) => each.directions));
    scene.window = viewer.window;
    scene.outline = now().outline;
    scene.layout = "all";
    await scene.mark(labels, paint);
    const { plane, slice } = now();
    scene.point(labels, labels.axes[plane] ?? 2, slice);
  } catch (error) {
    scene.close();
    throw error;
  }
  if (!wanted()) return made;
  canvas.focus();
  place.classList.add("ready");
  return made;
}

function bar(made: Shown): HTMLElement {
  const layouts = h(
    "select",
    {
      "aria-label": "Layout",
      on: {
        change: () => {
          made.layout = layouts.value as Layout;
          made.scene.layout = made.layout;
        },
      },
    },
    ...LAYOUTS.map(([value, name]) => h("option", { value }, name)),
  );
  const cut = h("input", { type: "checkbox", on: { change: () => (made.scene.cut = cut.checked) } });
  const go = () => {
    const { plane } = now();
    const axis = made.labels.axes[plane];
    if (axis === undefined) return;
    const count = made.image.planes[plane]?.count ?? 1;
    const slice = made.scene.sliceAt(made.labels, axis, made.at);
    update({ space: false, slice: Math.max(0, Math.min(count - 1, slice)) });
  };
  return h(
    "div",
    { class: "space-bar" },
    layouts,
    h("label", { class: "check" }, cut, h("span", {}, "Cut open")),
    h("button", { type: "button", class: "small", on: { click: go } }, "Go to this slice"),
    iconButton("close", "Back to the slice", () => update({ space: false }), { key: "Esc" }),
  );
}

/** Every mask in the volume; one of another dialogue leads there. */
function legend(labels: Labels): HTMLElement {
  const rows = labels.structures.map((each) => {
    const act = () => {
      update({ space: false });
      if (each.session !== now().session?.id) void openSession(each.session);
      else update({ plane: each.plane, slice: each.slice, selected: each.number });
    };
    const name = each.name ?? "unnamed";
    const where = `${each.plane} ${each.slice + 1}`;
    const colour = `--colour: rgb(${each.colour.join(" ")})`;
    return h(
      "li",
      { style: colour },
      h(
        "button",
        { type: "button", title: `Go to [${each.number}] ${name}, ${where}`, on: { click: act } },
        h("span", { class: "chip" }, String(each.number)),
        h("span", {}, name),
        h("small", {}, where),
      ),
    );
  });
  const list = h("ul", { class: "space-list", "aria-label": "Masks in the volume" }, ...rows);
  list.hidden = !rows.length;
  return list;
}

function keys(event: KeyboardEvent, made: Shown): void {
  const by = MOVES[event.key];
  if (!by) return;
  event.preventDefault();
  event.stopPropagation();
  if (made.layout === "render") made.scene.turn(STEP * by[0], STEP * (by[1] + by[2]));
  else made.scene.move(by);
}
