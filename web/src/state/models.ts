// Which models there are, here and on the server, and which one answers.
import { computed, signal } from "@preact/signals";
import { Trouble, type Engine, type Model } from "../engines/engine.ts";
import { Server } from "../engines/server.ts";
import { set, settings } from "./settings.ts";

const ASK_AGAIN_SECONDS = 3;
const LOOK_AGAIN_SECONDS = 30;

const server = new Server(new URL(".", location.href).href.replace(/\/$/, ""), () => settings.value.apiKey);
const ofServer = signal<Model[]>([]);

/** "away" when the server does not answer, "locked" when it wants another key. */
export const serverState = signal<"asking" | "here" | "locked" | "away" | "none">("asking");
export const models = computed(() => ofServer.value);
export const chosen = computed<Model | undefined>(() => {
  const wanted = models.value.find((each) => each.key === settings.value.model);
  if (wanted && (wanted.where === "browser" || serverState.value === "here")) return wanted;
  const ready = models.value.filter((each) => each.where === "browser" || serverState.value === "here");
  return ready.find((each) => each.ready) ?? ready[0];
});

export function engineOf(_model: Model): Engine {
  return server;
}

export function choose(model: Model): void {
  set({ model: model.key });
}

/** Ask the server what it has; again soon while a model is loading there. */
export async function refresh(): Promise<void> {
  if (serverState.value === "none") return;
  clearTimeout(again);
  let seconds = LOOK_AGAIN_SECONDS;
  try {
    ofServer.value = await server.models();
    serverState.value = "here";
    if (ofServer.value.some((each) => !each.ready)) seconds = ASK_AGAIN_SECONDS;
  } catch (error) {
    serverState.value = error instanceof Trouble && error.kind === "key" ? "locked" : "away";
    if (serverState.value === "away") seconds = ASK_AGAIN_SECONDS;
  }
  if (document.visibilityState === "visible") again = setTimeout(() => void refresh(), seconds * 1000);
}

let again: ReturnType<typeof setTimeout> | undefined;

export function start(): void {
  void refresh();
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void refresh();
  });
  addEventListener("online", () => void refresh());
}
