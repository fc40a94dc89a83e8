// Conversations in IndexedDB: whole ones, and their heads for the list. Nothing leaves the device.
import { openDB, type DBSchema, type IDBPDatabase } from "idb";
import type { Conversation } from "./conversation.ts";

/** What the list shows. */
export interface Head {
  id: string;
  title: string;
  changed: number;
}

interface Schema extends DBSchema {
  conversations: { key: string; value: Conversation };
  heads: { key: string; value: Head };
}

let opening: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
  opening ??= openDB<Schema>("penjing", 1, {
    upgrade(db) {
      db.createObjectStore("conversations", { keyPath: "id" });
      db.createObjectStore("heads", { keyPath: "id" });
    },
  });
  return opening;
}

export async function heads(): Promise<Head[]> {
  const found = await (await database()).getAll("heads");
  return found.sort((a, b) => b.changed - a.changed);
}

export async function load(id: string): Promise<Conversation | undefined> {
  return (await database()).get("conversations", id);
}

export async function every(): Promise<Conversation[]> {
  return (await database()).getAll("conversations");
}

export async function save(...conversations: Conversation[]): Promise<void> {
  const change = (await database()).transaction(["conversations", "heads"], "readwrite");
  for (const conversation of conversations) {
    void change.objectStore("conversations").put(conversation);
    void change.objectStore("heads").put(head(conversation));
  }
  await change.done;
}

export async function remove(id: string): Promise<void> {
  const change = (await database()).transaction(["conversations", "heads"], "readwrite");
  void change.objectStore("conversations").delete(id);
  void change.objectStore("heads").delete(id);
  await change.done;
}

export async function removeAll(): Promise<void> {
  const change = (await database()).transaction(["conversations", "heads"], "readwrite");
  void change.objectStore("conversations").clear();
  void change.objectStore("heads").clear();
  await change.done;
}

/** The ids of conversations in which every word of `sought` is said. */
export async function search(sought: string): Promise<Set<string>> {
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  const found = new Set<string>();
  let cursor = await (await database()).transaction("conversations").store.openCursor();
  while (cursor) {
    const { id, title, messages } = cursor.value;
    const said = [title, ...messages.map((message) => message.text)].join("\n").toLowerCase();
    if (words.every((word) => said.includes(word))) found.add(id);
    cursor = await cursor.continue();
  }
  return found;
}

export function head({ id, title, changed }: Conversation): Head {
  return { id, title, changed };
}
