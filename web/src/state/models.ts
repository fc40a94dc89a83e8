// Which models there are, in this browser and on the server, and which one answers.
import { computed, signal } from "@preact/signals";
import { Browser, loaded } from "../engines/browser.ts";
import { Trouble, type Engine, type Model } from "../engines/engine.ts";
import { Server } from "../engines/server.ts";
import * as pocket from "../offline/models.ts";
import { storage } from "../offline/storage.ts";
import { note, tell } from "./notes.ts";
import { set, settings } from "./settings.ts";
import { say } from "../words/say.ts";

const ASK_AGAIN_SECONDS = 3;
const LOOK_AGAIN_SECONDS = 30;
/** Bytes of a model that is fetched without asking, so that one visit is enough to be offline. */
const SMALL = 16_000_000;

/** `site.json`: what stands beside the page. */
interface SiteFile {
  /** Whether the page comes from a penjing server. */
  server: boolean;
  /** Of the certificate beside the page that a browser must trust to keep it; "" where there is none. */
  fingerprint?: string;
  models: { name: string; file: string; bytes: number; sha256: string; context: number; thinks: boolean }[];
}

const base = new URL(".", location.href).href;
const server = new Server(base.replace(/\/$/, ""), () => settings.value.apiKey);
const browser = new Browser();
const ofServer = signal<Model[]>([]);
const offered = signal<pocket.Offer[]>([]);
export const fingerprint = signal("");

/** "away" when the server does not answer, "locked" when it wants another key, "none" where the page has no server. */
export const serverState = signal<"asking" | "here" | "locked" | "away" | "none">("asking");

/** Models that this browser holds or could hold. */
export const ofBrowser = computed<Model[]>(() => {
  const held = new Set(pocket.kept.value.map((offer) => offer.id));
  const all = [...pocket.kept.value, ...offered.value.filter((offer) => !held.has(offer.id))];
  return all.map((offer) => ({
    key: `browser:${offer.id}`,
    id: offer.id,
    name: offer.name,
    where: "browser",
    ready: held.has(offer.id),
    context: loaded.value?.id === offer.id ? loaded.value.context : offer.context,
    bytes: offer.bytes,
    sees: false,
    thinks: offer.thinks,
  }));
});
export const models = computed<Model[]>(() => [...ofServer.value, ...ofBrowser.value]);
/** The model that answers: the one that was chosen, else the best that can. */
export const chosen = computed<Model | undefined>(() => {
  const able = models.value.filter((each) => each.where === "browser" || serverState.value === "here");
  const wanted = able.find((each) => each.key === settings.value.model);
  if (wanted) return wanted;
  return able.find((each) => each.where === "server") ?? able.find((each) => each.ready) ?? able[0];
});

export function engineOf(model: Model): Engine {
  return model.where === "browser" ? browser : server;
}

export function choose(model: Model): void {
  set({ model: model.key });
  if (model.where === "browser" && !model.ready) fetchFor(model).catch(tell);
}

/** Have a model, and the engine for it, on this device; true when it is. */
export async function keep(id: string): Promise<boolean> {
  const offer = offered.value.find((each) => each.id === id);
  if (!offer) return false;
  const { keepEngine } = await import("../engines/wllama.ts");
  try {
    await Promise.all([pocket.fetchModel(offer, settings.value.apiKey), keepEngine()]);
    return true;
  } catch (error) {
    if (error instanceof Trouble && error.kind === "stopped") return false;
    throw error;
  }
}

/** As `keep`, for somebody who asked for it and wants to know when it is done. */
export async function fetchFor(model: Model): Promise<void> {
  if (await keep(model.id)) await arrived(model.name);
}

/** Tell that a model is here, and whether it stays. */
async function arrived(model: string): Promise<void> {
  const room = await storage();
  note(room?.lasting === false ? `${say("models.taken", { model })} ${say("models.fleeting")}` : say("models.taken", { model }));
}

/** Take a GGUF file in, and let it answer. */
export async function take(file: File): Promise<void> {
  const { keepEngine } = await import("../engines/wllama.ts");
  const [offer] = await Promise.all([pocket.takeFile(file), keepEngine()]);
  set({ model: `browser:${offer.id}` });
  await arrived(offer.name);
}

/** Ask the server what it has; again soon while a model is loading there. */
export async function refresh(): Promise<void> {
  if (serverState.value === "none") return;
  clearTimeout(again);
  const asked = ++asking;
  let seconds = LOOK_AGAIN_SECONDS;
  try {
    const found = await server.models();
    if (asked !== asking) return; // asked again meanwhile, perhaps with another key
    ofServer.value = found;
    serverState.value = "here";
    if (ofServer.value.some((each) => !each.ready)) seconds = ASK_AGAIN_SECONDS;
  } catch (error) {
    if (asked !== asking) return;
    serverState.value = error instanceof Trouble && error.kind === "key" ? "locked" : "away";
    if (serverState.value === "away" && !ofBrowser.value.some((each) => each.ready)) seconds = ASK_AGAIN_SECONDS;
  }
  if (document.visibilityState === "visible") again = setTimeout(() => void refresh(), seconds * 1000);
}

let asking = 0;
let again: ReturnType<typeof setTimeout> | undefined;

export async function start(): Promise<void> {
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void refresh();
  });
  addEventListener("online", () => void refresh());
  void refresh();
  const gone = await pocket.check();
  if (gone.length) note(say("models.evicted", { models: gone.map((offer) => offer.name).join(", ") }), true);
  await look();
}

/** Read `site.json`; fetch what is small, or was begun, without asking. */
async function look(): Promise<void> {
  const response = await fetch(new URL("site.json", base)).catch(() => undefined);
  if (!response?.ok) {
    addEventListener("online", () => void look(), { once: true });
    return;
  }
  const site = (await response.json()) as SiteFile;
  if (!site.server) {
    clearTimeout(again);
    serverState.value = "none";
  }
  fingerprint.value = site.fingerprint ?? "";
  if (!pocket.able) return;
  offered.value = site.models.map(({ name, file, bytes, sha256, context, thinks }) => {
    return { id: sha256, name, bytes, context, thinks, url: new URL(file, base).href };
  });
  const sparing = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData;
  for (const model of ofBrowser.value) {
    if (!model.ready && model.bytes <= SMALL && !sparing) keep(model.id).catch(quietly);
  }
}

/** What nobody asked for is not told when the network is the reason: the next visit tries again. */
function quietly(error: unknown): void {
  if (!(error instanceof Trouble && error.kind === "network")) tell(error);
}
