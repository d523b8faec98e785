// What the server says and hears; see /openapi.json of a running server.

export type Status = "ok" | "unsure" | "absent" | "corrected" | "given";
/** What a box stands for: what it encloses, or all of its pixels. */
export type BoxFit = "structure" | "rectangle";
export type Colour = [number, number, number];

/** COCO compressed run-length code; `size` is [height, width]. */
export interface Rle {
  size: [number, number];
  counts: string;
}

export interface Directions {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

export interface Info {
  version: string;
  model: { name: string; weights_sha256: string } | null;
  /** What boxes may stand for with this model; null while it is being loaded. */
  box_fits: BoxFit[] | null;
  notice: string;
  auth: boolean;
  limits: { upload_bytes: number; query_characters: number };
  exports: string[];
  palette: Colour[];
}

export interface PlaneInfo {
  count: number;
  size: [number, number];
  /** Millimetres between rows and between columns. */
  spacing: [number, number] | null;
  directions: Directions | null;
}

export interface ImageInfo {
  id: string;
  created: string;
  kind: "image" | "volume";
  modality: string;
  unit: string | null;
  colour: boolean;
  native_plane: string | null;
  planes: Record<string, PlaneInfo>;
}

export interface Sample {
  name: string;
  title: string;
  description: string;
  available: boolean;
  slice: number | null;
}

export interface Entity {
  id: number;
  name: string | null;
  status: Status;
  score: number | null;
  box: [number, number, number, number] | null;
  /** The box that a person drew, in which the model found the mask. */
  box_prompt: [number, number, number, number] | null;
  refers_to: number[];
  round: number | null;
  removed: boolean;
  colour: Colour;
  mask: Rle | null;
}

export interface Round {
  query: string;
  text: string;
  entities: number[];
}

export interface Session {
  id: string;
  title: string;
  created: string;
  updated: string;
  revision: number;
  image: string;
  modality: string;
  plane: string | null;
  slice: number | null;
  slices: number;
  size: [number, number];
  can_undo: boolean;
  can_redo: boolean;
  busy: boolean;
  rounds: Round[];
  entities: Entity[];
  exports: string[];
  /** Formats that this session does not allow, with the reason. */
  exports_refused: Record<string, string>;
}

export interface SessionSummary {
  id: string;
  title: string;
  updated: string;
  image: string;
  modality: string;
  plane: string | null;
  slice: number | null;
  rounds: number;
  entities: number;
  thumbnail: string;
}

export interface ErrorBody {
  type: string;
  found: string;
  expected: string;
  remedy: string;
}

export type AskEvent =
  | { kind: "queued"; position: number }
  | { kind: "started" }
  | { kind: "text"; text: string }
  | { kind: "entity"; entity: Entity }
  | { kind: "done"; session: Session };

/** One mask of one dialogue about a volume; `number` is its [n] there. */
export interface Labelled {
  label: number;
  session: string;
  number: number;
  name: string | null;
  colour: Colour;
  plane: string;
  slice: number;
}

/** Masks on a grid with every `steps`-th voxel; runs are [start, length, label], I fastest. */
export interface Labels {
  shape: [number, number, number];
  steps: [number, number, number];
  axes: Record<string, number>;
  structures: Labelled[];
  runs: [number, number, number][];
}

/** One slice: source values, `channels` of them (1 or 3) for each of height x width pixels. */
export interface Values {
  data: ArrayLike<number>;
  height: number;
  width: number;
  channels: number;
  window: { center: number; width: number };
}
