// The whole page.
import { useEffect } from "preact/hooks";
import * as chat from "../state/chat.ts";
import { begin, readFile } from "../state/conversations.ts";
import { serverState, take } from "../state/models.ts";
import { tell } from "../state/notes.ts";
import { listOpen, settingsOpen } from "../state/screen.ts";
import { say } from "../words/say.ts";
import { Banner } from "./banner.tsx";
import { Dialog } from "./dialog.tsx";
import { Notes } from "./notes.tsx";
import { KeyForm, Settings } from "./settings.tsx";
import { Sidebar } from "./sidebar.tsx";
import { Thread } from "./thread.tsx";
import { Topbar } from "./topbar.tsx";
import { Writer } from "./writer.tsx";

/** Keys that work everywhere: Escape stops an answer, Ctrl+Shift+O (as elsewhere) begins a conversation, Ctrl+K seeks. */
function keyed(event: KeyboardEvent): void {
  const key = event.key.toLowerCase();
  const held = event.ctrlKey || event.metaKey;
  if (document.querySelector("dialog[open]")) return;
  if (key === "escape" && chat.live.value) chat.stop();
  else if (held && event.shiftKey && key === "o") begin();
  else if (held && !event.shiftKey && key === "k") seek();
  else return;
  event.preventDefault();
}

function seek(): void {
  listOpen.value = true; // where it is beside the conversation anyway, this changes nothing
  requestAnimationFrame(() => document.querySelector<HTMLInputElement>(".search input")?.focus());
}

/** A file that is let go over the page: a model, or chats. Pictures are the writer's. */
function dropped(event: DragEvent): void {
  const files = [...(event.dataTransfer?.files ?? [])];
  if (event.defaultPrevented || !files.length) return;
  event.preventDefault(); // or the browser would leave the page and show the file
  for (const file of files) {
    if (/\.gguf$/i.test(file.name)) take(file).catch(tell);
    else if (/\.json$/i.test(file.name)) readFile(file).catch(tell);
  }
}

export function App() {
  useEffect(() => {
    const over = (event: DragEvent) => event.preventDefault();
    document.addEventListener("keydown", keyed);
    document.addEventListener("dragover", over);
    document.addEventListener("drop", dropped);
    return () => {
      document.removeEventListener("keydown", keyed);
      document.removeEventListener("dragover", over);
      document.removeEventListener("drop", dropped);
    };
  }, []);
  return (
    <>
      <a class="skip" href="#write">
        {say("app.skip")}
      </a>
      <div class="page">
        <Sidebar />
        <div class="stage">
          <Topbar />
          <Banner />
          <Thread />
          <footer class="foot">
            <Writer send={(text, images) => void chat.send(text, images)} />
          </footer>
        </div>
      </div>
      <Settings />
      {serverState.value === "locked" && <Locked />}
      {!settingsOpen.value && serverState.value !== "locked" && <Notes />}
    </>
  );
}

function Locked() {
  return (
    <Dialog title={say("server.locked")} close={() => (serverState.value = "away")}>
      <KeyForm />
    </Dialog>
  );
}
