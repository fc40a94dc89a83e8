// Models that this browser holds, in its private file system (https://fs.spec.whatwg.org): which, how large, and how
// they come and go. What is listed is whole and was checked; what is not listed but lies there is a download to go on with.
import { signal } from "@preact/signals";
import { Trouble } from "../engines/engine.ts";
import type { Order, Report } from "./fetch.worker.ts";

/** A model that can be held. `id` is the SHA-256 of its file. */
export interface Offer {
  id: string;
  name: string;
  bytes: number;
  /** Tokens, 0 where unknown. */
  context: number;
  thinks: boolean;
  /** Where it is fetched from; "" where it came from a file. */
  url: string;
}

/** A model on its way. */
export interface Coming {
  name: string;
  bytes: number;
  have: number;
  stage: "asking" | "fetching" | "checking";
}

const PLACE = "penjing.models";
export const FOLDER = "models";

export const kept = signal<Offer[]>(remembered());
export const coming = signal<Record<string, Coming>>({});
const workers = new Map<string, Worker>();

/** Whether this browser can hold models here; over plain HTTP from another machine it cannot. */
export const able: boolean = isSecureContext && "storage" in navigator && "getDirectory" in navigator.storage;

export function fileName(id: string): string {
  return `${id}.gguf`;
}

/** See which of the listed models are still there, and return the others: a browser may have made room. */
export async function check(): Promise<Offer[]> {
  if (!able || !kept.value.length) return [];
  const sizes = await Promise.all(kept.value.map((offer) => open(offer.id).then((file) => file.size, () => -1)));
  const there = kept.value.filter((offer, index) => sizes[index] === offer.bytes);
  const gone = kept.value.filter((offer) => !there.includes(offer));
  if (gone.length) remember(there);
  return gone;
}

/** Keep what was found out about a model once it was loaded. */
export function learn(id: string, facts: Partial<Pick<Offer, "context" | "thinks">>): void {
  remember(kept.value.map((offer) => (offer.id === id ? { ...offer, ...facts } : offer)));
}

/** The file of a model that is kept. Throws Trouble "gone". */
export async function open(id: string): Promise<File> {
  try {
    return await (await (await folder()).getFileHandle(fileName(id))).getFile();
  } catch {
    throw new Trouble("gone");
  }
}

/** Fetch a model, from where the last attempt ended. Throws Trouble "network", "corrupt", "quota", "stopped". */
export async function fetchModel(offer: Offer, key: string): Promise<void> {
  await work(offer, { kind: "fetch", id: offer.id, url: offer.url, bytes: offer.bytes, key });
}

/** Take a GGUF file in. Throws Trouble "gguf", "quota". */
export async function takeFile(file: File): Promise<Offer> {
  const name = file.name.replace(/\.gguf$/i, "");
  const offer: Offer = { id: `file-${Date.now()}`, name, bytes: file.size, context: 0, thinks: false, url: "" };
  await work(offer, { kind: "take", id: offer.id, file, bytes: file.size });
  return offer;
}

/** Stop fetching; what has come stays. */
export function stop(id: string): void {
  workers.get(id)?.postMessage("stop");
}

export async function remove(id: string): Promise<void> {
  remember(kept.value.filter((offer) => offer.id !== id));
  await (await folder()).removeEntry(fileName(id)).catch(() => undefined);
}

function folder(): Promise<FileSystemDirectoryHandle> {
  return navigator.storage.getDirectory().then((root) => root.getDirectoryHandle(FOLDER, { create: true }));
}

async function work(offer: Offer, order: Order): Promise<void> {
  if (workers.has(offer.id)) return;
  await room(offer.bytes);
  const worker = new Worker(new URL("./fetch.worker.ts", import.meta.url), { type: "module" });
  workers.set(offer.id, worker);
  const show = (have: number, stage: Coming["stage"]) => {
    coming.value = { ...coming.value, [offer.id]: { name: offer.name, bytes: offer.bytes, have, stage } };
  };
  show(0, "asking");
  try {
    await new Promise<void>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Report>) => {
        if (data.kind === "progress") show(data.have, data.stage);
        else if (data.kind === "done") resolve();
        else reject(new Trouble(data.trouble, data.detail));
      };
      worker.onerror = (event) => reject(new Trouble("unknown", event.message));
      worker.postMessage(order);
    });
    remember([...kept.value.filter((each) => each.id !== offer.id), offer]);
  } finally {
    worker.terminate();
    workers.delete(offer.id);
    const { [offer.id]: _, ...rest } = coming.value;
    coming.value = rest;
  }
}

/** Ask the browser to keep what we store. Throws Trouble "quota" where there cannot be room. */
async function room(bytes: number): Promise<void> {
  await navigator.storage.persist().catch(() => false);
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  if (quota - usage < bytes) throw new Trouble("quota");
}

function remembered(): Offer[] {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? "[]") as Offer[];
  } catch {
    return [];
  }
}

function remember(offers: Offer[]): void {
  kept.value = offers;
  localStorage.setItem(PLACE, JSON.stringify(offers));
}
