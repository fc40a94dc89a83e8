// What a person set, on this device. The API key stays here too: it is sent to the server that the page came from only.
import { effect, signal } from "@preact/signals";
import type { Sampling } from "../engines/engine.ts";

/** Instructions that can be chosen for a conversation. */
export interface Preset {
  id: string;
  name: string;
  system: string;
}

export interface Settings {
  language: "" | "en" | "zh";
  theme: "" | "light" | "dark";
  apiKey: string;
  /** The model that was chosen last. */
  model: string;
  sampling: Sampling;
  thinking: boolean;
  presets: Preset[];
  /** The preset that new conversations begin with; "" for none. */
  preset: string;
}

const PLACE = "penjing.settings";
const BEGIN: Settings = {
  language: "",
  theme: "",
  apiKey: "",
  model: "",
  sampling: {},
  thinking: false,
  presets: [],
  preset: "",
};

function read(): Settings {
  try {
    return { ...BEGIN, ...(JSON.parse(localStorage.getItem(PLACE) ?? "{}") as Partial<Settings>) };
  } catch {
    return BEGIN; // private windows of some browsers have no storage
  }
}

export const settings = signal<Settings>(read());

export function set(change: Partial<Settings>): void {
  settings.value = { ...settings.value, ...change };
  try {
    localStorage.setItem(PLACE, JSON.stringify(settings.value));
  } catch {
    // as above: it lasts until the page is closed
  }
}

/** A key that came in the address, as `penjing phone` puts it behind its code. The part after # is sent to no server, and
 * taken away here so that nobody hands it on with the address. */
function takeKey(): void {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!key) return;
  set({ apiKey: key });
  history.replaceState(null, "", location.pathname + location.search);
}

takeKey();

effect(() => {
  const { theme } = settings.value;
  if (theme) document.documentElement.dataset["theme"] = theme;
  else delete document.documentElement.dataset["theme"];
});
