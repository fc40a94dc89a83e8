// Writes a model into the browser's private file system while it comes, and checks it: a fetched one by its SHA-256, one
// from a file by how GGUF begins. A worker, since only workers may write there in place.
import { sha256 } from "@noble/hashes/sha2.js";

export type Order =
  | { kind: "fetch"; id: string; url: string; bytes: number; key: string }
  | { kind: "take"; id: string; file: File; bytes: number };

export type Report =
  | { kind: "progress"; have: number; stage: "fetching" | "checking" }
  | { kind: "done" }
  | { kind: "failed"; trouble: "network" | "refused" | "corrupt" | "quota" | "gguf" | "stopped" | "unknown"; detail: string };

const FOLDER = "models";
const MAGIC = "GGUF";
const BLOCK = 4 << 20;
const FLUSH = 16 << 20;
const TELL_MS = 100;
const TRIES = 40;
const BETWEEN_TRIES_MS = 250;
const stopping = new AbortController();

class Failed extends Error {
  readonly trouble: Extract<Report, { kind: "failed" }>["trouble"];

  constructor(trouble: Failed["trouble"], detail = "") {
    super(detail);
    this.trouble = trouble;
  }
}

let told = 0;

function tell(have: number, stage: "fetching" | "checking"): void {
  if (performance.now() - told < TELL_MS) return;
  told = performance.now();
  postMessage({ kind: "progress", have, stage } satisfies Report);
}

onmessage = ({ data }: MessageEvent<Order | "stop">) => {
  if (data === "stop") {
    stopping.abort();
    return;
  }
  // One at a time for each model: another tab may be fetching it, and then this one finds it whole.
  navigator.locks.request(`penjing.models.${data.id}`, () => obey(data)).then(
    () => postMessage({ kind: "done" } satisfies Report),
    (error: unknown) => postMessage(failure(error)),
  );
};

function failure(error: unknown): Report {
  const { name, message } = error as Error;
  if (error instanceof Failed) return { kind: "failed", trouble: error.trouble, detail: message };
  if (name === "QuotaExceededError") return { kind: "failed", trouble: "quota", detail: "" };
  if (stopping.signal.aborted) return { kind: "failed", trouble: "stopped", detail: "" };
  return { kind: "failed", trouble: "unknown", detail: `${name}: ${message}` };
}

async function obey(order: Order): Promise<void> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle(FOLDER, { create: true });
  const name = `${order.id}.gguf`;
  const file = await access(await folder.getFileHandle(name, { create: true }));
  let keep = false;
  try {
    if (order.kind === "fetch") await fetched(order, file);
    else await taken(order, file);
    file.flush();
    keep = true;
  } catch (error) {
    keep = order.kind === "fetch" && !(error instanceof Failed && error.trouble === "corrupt");
    if (keep) file.flush();
    throw error;
  } finally {
    file.close();
    if (!keep) await folder.removeEntry(name).catch(() => undefined);
  }
}

/** A page that was closed this moment may still hold the file. */
async function access(handle: FileSystemFileHandle): Promise<FileSystemSyncAccessHandle> {
  for (let tries = 0; ; tries++) {
    try {
      return await handle.createSyncAccessHandle();
    } catch (error) {
      if ((error as Error).name !== "NoModificationAllowedError" || tries === TRIES) throw error;
      await new Promise((go) => setTimeout(go, BETWEEN_TRIES_MS));
    }
  }
}

async function fetched(order: Extract<Order, { kind: "fetch" }>, file: FileSystemSyncAccessHandle): Promise<void> {
  let hash = sha256.create();
  let have = file.getSize();
  if (have > order.bytes) have = 0;
  for (let at = 0; at < have; ) {
    const block = new Uint8Array(Math.min(BLOCK, have - at));
    file.read(block, { at });
    hash.update(block);
    at += block.length;
    tell(at, "checking");
  }
  if (have < order.bytes) {
    const response = await asked(order, have);
    if (response.status === 200 && have) {
      have = 0; // this host sends whole files only
      hash = sha256.create();
    }
    if (!have) file.truncate(0);
    for await (const block of body(response)) {
      if (have + block.length > order.bytes) throw new Failed("corrupt");
      write(file, block, have);
      hash.update(block);
      have += block.length;
      if (have % FLUSH < block.length) file.flush();
      tell(have, "fetching");
    }
    if (have < order.bytes) throw new Failed("network");
  }
  const found = Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== order.id) throw new Failed("corrupt");
}

async function asked(order: Extract<Order, { kind: "fetch" }>, from: number): Promise<Response> {
  const headers = new Headers(from ? { Range: `bytes=${from}-` } : {});
  if (order.key) headers.set("Authorization", `Bearer ${order.key}`);
  const response = await fetch(order.url, { headers, signal: stopping.signal, cache: "no-store" }).catch((error: Error) => {
    throw error.name === "AbortError" ? error : new Failed("network");
  });
  if (!response.ok || !response.body) throw new Failed("refused", `HTTP ${response.status}`);
  return response;
}

/** What comes; a connection that breaks is "network", so that the rest can be asked for later. */
async function* body(response: Response): AsyncGenerator<Uint8Array> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error: Error) => {
      throw error.name === "AbortError" ? error : new Failed("network");
    });
    if (done) return;
    yield value;
  }
}

async function taken({ file: source, bytes }: Extract<Order, { kind: "take" }>, file: FileSystemSyncAccessHandle): Promise<void> {
  if ((await source.slice(0, MAGIC.length).text()) !== MAGIC) throw new Failed("gguf", source.name);
  file.truncate(0);
  for (let at = 0; at < bytes; at += BLOCK) {
    write(file, new Uint8Array(await source.slice(at, at + BLOCK).arrayBuffer()), at);
    tell(at, "fetching");
    if (stopping.signal.aborted) throw new Failed("stopped");
  }
}

function write(file: FileSystemSyncAccessHandle, block: Uint8Array, at: number): void {
  const view = block as Uint8Array<ArrayBuffer>;
  if (file.write(view, { at }) < block.length) throw new Failed("quota");
}
