// Notes that pass by. A dialog shows them inside itself while it is open: what is outside of it cannot be used then.
import { dismiss, notes } from "../state/notes.ts";
import { say } from "../words/say.ts";
import { IconButton } from "./icon.tsx";

export function Notes() {
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
