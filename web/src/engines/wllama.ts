// The one place that knows wllama; loaded when a model first answers in the browser.
import { LoggerWithoutDebug, Wllama } from "@wllama/wllama";
import { Trouble } from "./engine.ts";

declare const __WLLAMA__: string;

const CACHE = "penjing-wasm";

/** Whether this browser lacks what the main build needs (JSPI, 64-bit memory): Safari, and Firefox for now. */
export function needsCompat(): boolean {
  if (!("Suspending" in WebAssembly)) return true;
  try {
    new WebAssembly.Memory({ address: "i64", initial: 1n } as unknown as WebAssembly.MemoryDescriptor);
    return false;
  } catch {
    return true;
  }
}

function files(): { wasm: string; script: string } {
  const stem = `wasm/${needsCompat() ? "compat" : "llama"}-${__WLLAMA__}`;
  return { wasm: `${stem}.wasm`, script: needsCompat() ? `${stem}.js` : "" };
}

/** Have the engine on the device, so that it starts without a network. */
export async function keepEngine(): Promise<void> {
  const { wasm, script } = files();
  await Promise.all([wasm, script].filter(Boolean).map(fetched));
}

/** An engine without a model yet. Its files are handed over as blobs: its worker then needs neither network nor service
 * worker, and never the CDN that wllama would ask by itself. */
export async function engine(): Promise<Wllama> {
  const { wasm, script } = files();
  const blob = new Blob([await (await fetched(wasm)).arrayBuffer()], { type: "application/wasm" });
  const url = URL.createObjectURL(blob);
  const made = new Wllama({ default: url }, { logger: LoggerWithoutDebug, suppressNativeLog: true, allowOffline: true });
  made.setCompat(script ? { wasm: url, worker: { code: await (await fetched(script)).text() } } : null);
  return made;
}

async function fetched(path: string): Promise<Response> {
  const url = new URL(path, document.baseURI).href;
  if (!("caches" in globalThis)) return asked(url); // plain HTTP from another machine
  const cache = await caches.open(CACHE);
  const held = await cache.match(url);
  if (held) return held;
  const response = await asked(url);
  await cache.put(url, response.clone());
  for (const { url: old } of await cache.keys()) if (!old.includes(`-${__WLLAMA__}.`)) await cache.delete(old);
  return response;
}

async function asked(url: string): Promise<Response> {
  const response = await fetch(url).catch(() => {
    throw new Trouble("network");
  });
  if (!response.ok) throw new Trouble("refused", `HTTP ${response.status}`);
  return response;
}

export type { Wllama };
