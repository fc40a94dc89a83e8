// The list of conversations and the one that is open.
import { computed, signal } from "@preact/signals";
import { empty, path, type Conversation } from "../keep/conversation.ts";
import * as database from "../keep/database.ts";
import { fromJson } from "../keep/transfer.ts";
import { number, say } from "../words/say.ts";
import { note, tell } from "./notes.ts";
import { settings } from "./settings.ts";

export const heads = signal<database.Head[]>([]);
export const current = signal<Conversation>(empty(""));
/** What is read of it. */
export const thread = computed(() => path(current.value));
/** Ids that a search found; null while nothing is sought. */
export const found = signal<Set<string> | null>(null);

export async function start(): Promise<void> {
  begin();
  try {
    heads.value = await database.heads();
  } catch (error) {
    tell(error);
  }
}

export function begin(): void {
  const { presets, preset } = settings.value;
  current.value = empty(presets.find((each) => each.id === preset)?.system ?? "");
}

export async function open(id: string): Promise<void> {
  const conversation = await database.load(id);
  if (conversation) current.value = conversation;
}

/** Keep a change, and show it where the conversation is open. */
export async function keep(conversation: Conversation): Promise<void> {
  if (current.value.id === conversation.id) current.value = conversation;
  const head = database.head(conversation);
  heads.value = [head, ...heads.value.filter((each) => each.id !== head.id)].sort((a, b) => b.changed - a.changed);
  try {
    await database.save(conversation);
  } catch (error) {
    tell(error); // a full disk: the conversation goes on, and the person knows that it is not kept
  }
}

export async function rename(id: string, title: string): Promise<void> {
  const conversation = current.value.id === id ? current.value : await database.load(id);
  if (conversation) await keep({ ...conversation, title, named: true });
}

export async function remove(id: string): Promise<void> {
  await database.remove(id);
  heads.value = heads.value.filter((each) => each.id !== id);
  if (current.value.id === id) begin();
}

export async function removeAll(): Promise<void> {
  await database.removeAll();
  heads.value = [];
  begin();
}

export async function add(conversations: Conversation[]): Promise<void> {
  await database.save(...conversations);
  heads.value = await database.heads();
}

/** Take in the conversations of a file that was written here. Throws Trouble "import". */
export async function readFile(file: File): Promise<void> {
  const read = fromJson(await file.text());
  await add(read);
  note(say("settings.imported", { count: number(read.length) }));
}

export async function seek(sought: string): Promise<void> {
  found.value = sought.trim() ? await database.search(sought) : null;
}
