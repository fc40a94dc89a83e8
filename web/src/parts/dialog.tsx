// A dialog of the browser's own: it keeps the focus inside and closes with Escape.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { say } from "../words/say.ts";
import { IconButton } from "./icon.tsx";
import { Notes } from "./notes.tsx";

interface Props {
  title: string;
  close: () => void;
  children: ComponentChildren;
  kind?: string;
}

export function Dialog({ title, close, children, kind = "" }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal(); // taken from the page it closes by itself, without the event that a person's closing is
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`dialog ${kind}`}
      aria-labelledby={id}
      onClose={close}
      onClick={(event) => event.target === event.currentTarget && close()}
    >
      <div class="dialog-frame">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <IconButton icon="close" label={say("settings.close")} onClick={close} />
        </header>
        <div class="dialog-body">{children}</div>
      </div>
      <Notes />
    </dialog>
  );
}
