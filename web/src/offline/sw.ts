// The service worker: the shell is kept whole on the device, so that the page opens without a network, and every answer
// carries the headers that give the engine in the browser its threads, also from hosts whose headers nobody can set.
// Questions to a server, models and wasm pass by: the page keeps those itself.

/** Written by the build: what the shell is, and a word that changes with it. */
declare const __SHELL__: { version: string; policy: string; files: string[] };

const scope = self as unknown as ServiceWorkerGlobalScope;
const shell = __SHELL__;
const CACHE = `penjing-shell-${shell.version}`;
const OFFERS = "site.json";
const PATIENCE_MS = 4000;
const root = new URL("./", scope.location.href);
const files = new Set(shell.files.map((name) => new URL(name, root).href));

scope.addEventListener("install", (event) => {
  event.waitUntil(keepShell());
});

scope.addEventListener("activate", (event) => {
  event.waitUntil(forget().then(() => scope.clients.claim()));
});

scope.addEventListener("message", (event) => {
  if (event.data === "now") void scope.skipWaiting();
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const url = request.url.replace(/[?#].*$/, "");
  if (url === root.href && request.mode === "navigate") event.respondWith(held(new URL("index.html", root).href));
  else if (files.has(url)) event.respondWith(held(url));
  else if (url === new URL(OFFERS, root).href) event.respondWith(freshest(request));
});

async function keepShell(): Promise<void> {
  const cache = await caches.open(CACHE);
  await freshest(new Request(new URL(OFFERS, root).href));
  // "no-cache": a copy that the browser has is taken where the server says that it still holds
  await Promise.all(
    [...files].map(async (url) => {
      const response = await fetch(url, { cache: "no-cache" });
      if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
      await cache.put(url, isolated(response));
    }),
  );
}

async function forget(): Promise<void> {
  for (const name of await caches.keys()) if (name.startsWith("penjing-shell-") && name !== CACHE) await caches.delete(name);
}

async function held(url: string): Promise<Response> {
  const found = await (await caches.open(CACHE)).match(url, { ignoreVary: true });
  return found ?? isolated(await fetch(url));
}

/** What the server offers now, or offered last. */
async function freshest(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const held = await cache.match(request.url, { ignoreVary: true });
  try {
    const patience = held ? { signal: AbortSignal.timeout(PATIENCE_MS) } : {}; // without a copy, late is better than never
    const response = await fetch(request, patience);
    if (response.ok) await cache.put(request.url, response.clone()).catch(() => undefined); // a full device keeps nothing
    return response;
  } catch {
    return held ?? Response.error();
  }
}

/** With the headers of an isolated page (https://html.spec.whatwg.org/multipage/browsers.html#coep). A new response:
 * a redirected one could not answer a navigation. */
function isolated(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  headers.set("Content-Security-Policy", shell.policy);
  headers.delete("Content-Encoding"); // what is kept is decoded
  headers.delete("Content-Length");
  return new Response(response.body, { status: response.status, headers });
}

export {};
