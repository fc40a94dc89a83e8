// The whole page.
import { useEffect } from "preact/hooks";
import * as chat from "../state/chat.ts";
import { begin } from "../state/conversations.ts";
import { serverState } from "../state/models.ts";
import { dismiss, notes } from "../state/notes.ts";
import { say } from "../words/say.ts";
import { Banner } from "./banner.tsx";
import { Dialog } from "./dialog.tsx";
import { IconButton } from "./icon.tsx";
import { KeyForm, Settings } from "./settings.tsx";
import { Sidebar } from "./sidebar.tsx";
import { Thread } from "./thread.tsx";
import { Topbar } from "./topbar.tsx";
import { Writer } from "./writer.tsx";

/** Keys that work everywhere: Escape stops an answer, Ctrl+Shift+O (as elsewhere) begins a conversation. */
function keyed(event: KeyboardEvent): void {
  if (event.key === "Escape" && chat.live.value && !document.querySelector("dialog[open]")) chat.stop();
  else if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") begin();
  else return;
  event.preventDefault();
}

export function App() {
  useEffect(() => {
    document.addEventListener("keydown", keyed);
    return () => document.removeEventListener("keydown", keyed);
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
      <Notes />
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

function Notes() {
  return (
    <div class="notes" role="status" aria-live="polite">
      {notes.value.map(({ id, text, grave, offer }) => (
        <div key={id} class={grave ? "note grave" : "note"}>
          <span>{text}</span>
          {offer && (
            <button
              type="button"
              class="button quiet"
              onClick={() => {
                dismiss(id);
                offer.act();
              }}
            >
              {offer.label}
            </button>
          )}
          <IconButton icon="close" label={say("settings.close")} onClick={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}
