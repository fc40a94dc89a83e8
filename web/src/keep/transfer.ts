// Conversations as files: JSON to take them elsewhere and back, Markdown to read.
import { Trouble } from "../engines/engine.ts";
import { newId, path, type Conversation, type Message } from "./conversation.ts";

const FORMAT = "penjing-conversations";
const VERSION = 1;

export function toJson(conversations: Conversation[]): string {
  return JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 1);
}

/** What is read of a conversation: the branch that is shown. */
export function toMarkdown(conversation: Conversation, you: string): string {
  const parts = [`# ${conversation.title || "penjing"}`];
  if (conversation.system.trim()) parts.push(conversation.system.trim().replace(/^/gm, "> "));
  for (const message of path(conversation)) {
    parts.push(`## ${message.role === "user" ? you : (message.model ?? "penjing")}`, message.text);
  }
  return parts.join("\n\n") + "\n";
}

/** The conversations in a file that was written here, each under a new id. Throws Trouble "import". */
export function fromJson(text: string): Conversation[] {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    throw new Trouble("import"); // what is wrong with it would show the file's own bytes
  }
  const { format, conversations } = fields(raw, "file");
  if (format !== FORMAT || !Array.isArray(conversations)) throw new Trouble("import", `format: ${String(format)}`);
  return conversations.map(conversationOf);
}

function conversationOf(raw: unknown, index: number): Conversation {
  const where = `conversations[${index}]`;
  const { title, named, created, changed, system, leaf, messages } = fields(raw, where);
  if (!Array.isArray(messages)) throw new Trouble("import", `${where}.messages`);
  const read = messages.map((each, at) => messageOf(each, `${where}.messages[${at}]`));
  const known = new Set(read.map((message) => message.id));
  return {
    id: newId(),
    title: text(title ?? "", `${where}.title`),
    named: named === true,
    created: time(created),
    changed: time(changed),
    system: text(system ?? "", `${where}.system`),
    leaf: typeof leaf === "string" && known.has(leaf) ? leaf : (read.at(-1)?.id ?? null),
    messages: read,
  };
}

function messageOf(raw: unknown, where: string): Message {
  const found = fields(raw, where);
  if (found["role"] !== "user" && found["role"] !== "assistant") throw new Trouble("import", `${where}.role`);
  const images = Array.isArray(found["images"]) ? found["images"].filter(isPicture) : [];
  return {
    id: text(found["id"], `${where}.id`),
    parent: typeof found["parent"] === "string" ? found["parent"] : null,
    role: found["role"],
    text: text(found["text"], `${where}.text`),
    at: time(found["at"]),
    ...(typeof found["thinking"] === "string" && { thinking: found["thinking"] }),
    ...(typeof found["model"] === "string" && { model: found["model"] }),
    ...(images.length && { images }),
  };
}

function fields(raw: unknown, where: string): Record<string, unknown> {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) throw new Trouble("import", where);
  return raw as Record<string, unknown>;
}

function text(raw: unknown, where: string): string {
  if (typeof raw !== "string") throw new Trouble("import", where);
  return raw;
}

function time(raw: unknown): number {
  return typeof raw === "number" && Number.isFinite(raw) ? raw : Date.now();
}

/** Only pictures that are in the file itself: an address would tell its host who reads. */
function isPicture(raw: unknown): raw is string {
  return typeof raw === "string" && /^data:image\/(png|jpeg|webp|gif);base64,/.test(raw);
}

/** Hand a file to the person. */
export function download(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A name that every file system takes. */
export function fileName(title: string, extension: string): string {
  const stem = title.replace(/[\\/:*?"<>|\u0000-\u001f]+/g, " ").trim().slice(0, 60) || "penjing";
  return `${stem}.${extension}`;
}
