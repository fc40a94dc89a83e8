// Short notes that pass by, for eyes and for screen readers.
import { signal } from "@preact/signals";
import { Trouble } from "../engines/engine.ts";
import { say, sayTrouble } from "../words/say.ts";

export interface Note {
  id: number;
  text: string;
  grave: boolean;
  /** What can be done about it while it is shown. */
  offer: Offer | undefined;
}

export interface Offer {
  label: string;
  act: () => void;
}

const SECONDS = 6;
export const notes = signal<Note[]>([]);
let last = 0;

export function note(text: string, grave = false, offer?: Offer): void {
  const id = ++last;
  notes.value = [...notes.value.slice(-2), { id, text, grave, offer }];
  setTimeout(() => dismiss(id), SECONDS * 1000 * (grave ? 2 : 1));
}

export function dismiss(id: number): void {
  notes.value = notes.value.filter((each) => each.id !== id);
}

/** Tell what went wrong. */
export function tell(error: unknown): void {
  if (error instanceof Trouble) note(sayTrouble(error), true);
  else if ((error as Error).name === "QuotaExceededError") note(say("trouble.quota"), true);
  else note(`${say("trouble.unknown")} ${error instanceof Error ? error.message : String(error)}`, true);
}
