import "./style.css";

import { addressed, begin, goHome, openSession, takeUp } from "./actions";
import { takeToken } from "./api";
import { byId } from "./dom";
import { mountKeys } from "./keys";
import { mountBoxBar } from "./panels/boxbar";
import { mountChat } from "./panels/chat";
import { mountComposer, refer } from "./panels/composer";
import { mountConnection } from "./panels/connection";
import { mountEntities } from "./panels/entities";
import { mountHome } from "./panels/home";
import { mountDrafting, mountStage, turn } from "./panels/stage";
import { mountSpace } from "./panels/space";
import { applyTheme } from "./panels/theme";
import { mountToolbar } from "./panels/toolbar";
import { mountTopbar } from "./panels/topbar";
import { now, update } from "./store";
import { attempt, onReturn, watchServer } from "./trouble";
import { Gestures } from "./view/gestures";
import { Viewer } from "./view/viewer";

applyTheme();
takeToken();

const viewer = new Viewer(byId<HTMLCanvasElement>("canvas"));
const probe = mountStage(viewer);
const pick = (id: number | null): void => {
  update({ selected: id });
  if (id !== null) refer(id);
};
const gestures = new Gestures(viewer, pick, turn, probe);

mountTopbar();
mountConnection();
mountToolbar(viewer);
mountDrafting(viewer, gestures);
mountBoxBar();
mountSpace(viewer);
mountEntities();
mountChat();
mountComposer();
mountHome();
mountKeys(viewer, gestures);

onReturn(takeUp);
watchServer();
addEventListener("popstate", () => {
  const id = addressed();
  if (!id) goHome();
  else if (id !== now().session?.id) void openSession(id);
});
void attempt(begin);
