// The list of conversations: search, open, rename, delete, save.
import { useEffect, useRef, useState } from "preact/hooks";
import { load, save, type Head } from "../keep/database.ts";
import { download, fileName, toJson, toMarkdown } from "../keep/transfer.ts";
import * as conversations from "../state/conversations.ts";
import { listOpen } from "../state/screen.ts";
import { note, tell } from "../state/notes.ts";
import { say } from "../words/say.ts";
import type { Word } from "../words/en.ts";
import { Icon, IconButton } from "./icon.tsx";
import { Menu } from "./menu.tsx";

const DAY = 86_400_000;

export function Sidebar() {
  const [sought, setSought] = useState("");
  useEffect(() => {
    const waiting = setTimeout(() => conversations.seek(sought).catch(tell), 150);
    return () => clearTimeout(waiting);
  }, [sought, conversations.heads.value]);
  const found = conversations.found.value;
  const shown = conversations.heads.value.filter((head) => !found || found.has(head.id));
  const begin = () => {
    conversations.begin();
    listOpen.value = false;
    document.getElementById("write")?.focus();
  };
  return (
    <>
      <div class="shade" hidden={!listOpen.value} onClick={() => (listOpen.value = false)} />
      <nav class="sidebar" data-open={listOpen.value} aria-label={say("list.title")}>
        <div class="sidebar-head">
          <button type="button" class="button new" onClick={begin}>
            <Icon name="plus" />
            {say("list.new")}
          </button>
          <IconButton icon="close" kind="narrow-only" label={say("list.close")} onClick={() => (listOpen.value = false)} />
        </div>
        <label class="search">
          <Icon name="search" />
          <input
            type="search"
            value={sought}
            aria-label={say("list.search")}
            placeholder={say("list.search")}
            onInput={(event) => setSought(event.currentTarget.value)}
          />
        </label>
        <div class="heads">
          {shown.length === 0 && <p class="hint">{say(found ? "list.nothing" : "list.none")}</p>}
          {grouped(shown).map(([word, heads]) => (
            <section key={word}>
              <h2>{say(word)}</h2>
              <ul>
                {heads.map((head) => (
                  <Row key={head.id} head={head} />
                ))}
              </ul>
            </section>
          ))}
        </div>
      </nav>
    </>
  );
}

function grouped(heads: Head[]): [Word, Head[]][] {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const groups: [Word, Head[]][] = [["day.today", []], ["day.yesterday", []], ["day.week", []], ["day.older", []]];
  for (const head of heads) {
    const at = head.changed >= midnight ? 0 : head.changed >= midnight - DAY ? 1 : head.changed >= midnight - 6 * DAY ? 2 : 3;
    groups[at]?.[1].push(head);
  }
  return groups.filter(([, found]) => found.length);
}

function Row({ head }: { head: Head }) {
  const [naming, setNaming] = useState(false);
  const title = head.title || say("list.untitled");
  const here = conversations.current.value.id === head.id;
  if (naming) return <Naming head={head} done={() => setNaming(false)} />;
  const open = () => {
    conversations.open(head.id).catch(tell);
    listOpen.value = false;
  };
  return (
    <li class="head" data-here={here}>
      <button type="button" class="head-title" aria-current={here ? "page" : undefined} onClick={open}>
        {title}
      </button>
      <Menu
        label={say("list.more", { title })}
        items={[
          { icon: "pencil", label: say("list.rename"), act: () => setNaming(true) },
          { icon: "save", label: say("list.exportMarkdown"), act: () => void keepFile(head, "md") },
          { icon: "save", label: say("list.exportJson"), act: () => void keepFile(head, "json") },
          { icon: "bin", label: say("list.remove"), act: () => void removed(head), grave: true },
        ]}
      />
    </li>
  );
}

function Naming({ head, done }: { head: Head; done: () => void }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.select(), []);
  const keep = () => {
    const title = input.current?.value.trim();
    if (title && title !== head.title) void conversations.rename(head.id, title);
    done();
  };
  return (
    <li class="head">
      <input
        ref={input}
        class="naming"
        value={head.title}
        aria-label={say("list.rename")}
        onBlur={keep}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.isComposing) keep();
          if (event.key === "Escape") done();
        }}
      />
    </li>
  );
}

async function keepFile(head: Head, kind: "md" | "json"): Promise<void> {
  const conversation = await load(head.id);
  if (!conversation) return;
  const content = kind === "md" ? toMarkdown(conversation, say("message.you")) : toJson([conversation]);
  download(fileName(head.title, kind), kind === "md" ? "text/markdown" : "application/json", content);
}

async function removed(head: Head): Promise<void> {
  const conversation = await load(head.id);
  await conversations.remove(head.id);
  const undo = conversation && {
    label: say("list.undo"),
    act: () => void save(conversation).then(() => conversations.add([])),
  };
  note(say("list.removed", { title: head.title || say("list.untitled") }), false, undo);
}
