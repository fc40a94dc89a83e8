// A conversation is a tree: an edited question and a regenerated answer are branches beside the old ones, and `leaf`
// says which branch is read. Pure: nothing here changes what it is given.
import type { Counted, Turn } from "../engines/engine.ts";

export interface Message {
  id: string;
  /** The message that this one answers or follows; null for the first. */
  parent: string | null;
  role: "user" | "assistant";
  text: string;
  /** Milliseconds since 1970. */
  at: number;
  thinking?: string;
  images?: string[];
  model?: string;
  counted?: Counted;
  /** How it ended, where it did not end by itself; `error` is what to tell about it. */
  state?: "stopped" | "failed";
  error?: { kind: string; detail: string };
}

export interface Conversation {
  id: string;
  title: string;
  /** Whether a person gave the title; otherwise the first question does. */
  named: boolean;
  created: number;
  changed: number;
  /** Instructions that stand before everything; "" for none. */
  system: string;
  leaf: string | null;
  messages: Message[];
}

const TITLE_LENGTH = 60;

export function newId(): string {
  // crypto.randomUUID is missing where the page comes over plain HTTP from another machine.
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function empty(system: string): Conversation {
  const now = Date.now();
  return { id: newId(), title: "", named: false, created: now, changed: now, system, leaf: null, messages: [] };
}

/** The messages that are read, from the first to `leaf`. */
export function path(conversation: Conversation, leaf: string | null = conversation.leaf): Message[] {
  const known = new Map(conversation.messages.map((message) => [message.id, message]));
  const found: Message[] = [];
  for (let at = leaf ? known.get(leaf) : undefined; at; at = at.parent ? known.get(at.parent) : undefined) {
    found.push(at);
    known.delete(at.id); // a file that somebody made could go round in circles
  }
  return found.reverse();
}

/** A message and those that stand in its place on other branches, oldest first. */
export function siblings(conversation: Conversation, message: Message): Message[] {
  return conversation.messages.filter((each) => each.parent === message.parent && each.role === message.role);
}

/** With `message` added as what is read last. */
export function grown(conversation: Conversation, message: Message): Conversation {
  const title = conversation.title || (message.role === "user" ? titleOf(message.text) : "");
  return { ...conversation, title, leaf: message.id, changed: message.at, messages: [...conversation.messages, message] };
}

/** With `message` in the place of the one of its id. */
export function replaced(conversation: Conversation, message: Message): Conversation {
  const messages = conversation.messages.map((each) => (each.id === message.id ? message : each));
  return { ...conversation, changed: Math.max(conversation.changed, message.at), messages };
}

/** Read the branch of `message`, down to what was said last there. */
export function turnedTo(conversation: Conversation, message: Message): Conversation {
  let leaf = message;
  for (;;) {
    const next = conversation.messages.filter((each) => each.parent === leaf.id).at(-1);
    if (!next) return { ...conversation, leaf: leaf.id };
    leaf = next;
  }
}

/** What a model is sent: the instructions, then the messages up to `leaf`. Empty answers are left out. */
export function turns(conversation: Conversation, leaf: string | null = conversation.leaf): Turn[] {
  const said: Turn[] = conversation.system.trim() ? [{ role: "system", text: conversation.system }] : [];
  for (const message of path(conversation, leaf)) {
    if (message.role === "assistant" && !message.text) continue;
    said.push({ role: message.role, text: message.text, ...(message.images && { images: message.images }) });
  }
  return said;
}

export function titleOf(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return line.length > TITLE_LENGTH ? `${line.slice(0, TITLE_LENGTH - 1)}…` : line;
}
