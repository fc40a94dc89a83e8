// The page's side of being kept on the device.
import { signal } from "@preact/signals";

/** A newer page waits; `renew` shows it. */
export const newer = signal(false);
/** The browser does not trust the certificate that the page came with, and keeps no page then. */
export const distrusted = signal(false);
let waiting: ServiceWorker | null = null;

export async function start(): Promise<void> {
  if (!("serviceWorker" in navigator)) return; // plain HTTP from another machine
  const hadOne = !!navigator.serviceWorker.controller;
  const registration = await navigator.serviceWorker.register("./sw.js", { scope: "./" }).catch((error: Error) => {
    if (error.name !== "SecurityError") throw error;
    distrusted.value = true;
  });
  if (!registration) return;
  watch(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => hadOne && worker.state === "installed" && watch(worker));
  });
  if (!hadOne) await isolate();
}

/** A host that sends no COOP and COEP: from now on the service worker does, so one reload makes the page isolated. */
async function isolate(): Promise<void> {
  await navigator.serviceWorker.ready;
  if (crossOriginIsolated || sessionStorage.getItem("penjing.isolated")) return;
  sessionStorage.setItem("penjing.isolated", "tried");
  if (!navigator.serviceWorker.controller) {
    await new Promise((done) => navigator.serviceWorker.addEventListener("controllerchange", done, { once: true }));
  }
  location.reload();
}

function watch(worker: ServiceWorker | null): void {
  waiting = worker;
  newer.value = !!worker;
}

export function renew(): void {
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  waiting?.postMessage("now");
}
