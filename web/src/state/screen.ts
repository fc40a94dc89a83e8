// What is shown beside the conversation.
import { signal } from "@preact/signals";

/** The list of conversations, on a small screen. */
export const listOpen = signal(false);
export const settingsOpen = signal(false);
