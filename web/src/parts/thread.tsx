// The messages, and the way to the end of them: the view follows what is written as long as nobody scrolls up.
import { useEffect, useRef, useState } from "preact/hooks";
import { copy } from "../look/clipboard.ts";
import * as chat from "../state/chat.ts";
import { current, thread } from "../state/conversations.ts";
import { say } from "../words/say.ts";
import { IconButton } from "./icon.tsx";
import { Said } from "./message.tsx";
import { Welcome } from "./welcome.tsx";

const NEAR_PIXELS = 80;

export function Thread() {
  const view = useRef<HTMLElement>(null);
  const following = useRef(true);
  const [away, setAway] = useState(false);
  const live = chat.live.value;
  const end = (behavior: ScrollBehavior = "auto") => view.current?.scrollTo({ top: view.current.scrollHeight, behavior });

  useEffect(() => {
    following.current = true;
    end();
  }, [current.value.id, thread.value.length]);
  useEffect(() => {
    if (following.current) end();
  }, [live?.text, live?.thinking]);

  const scrolled = () => {
    const element = view.current;
    if (!element) return;
    following.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PIXELS;
    setAway(!following.current);
  };
  return (
    <div class="thread-frame">
      <main class="thread" ref={view} onScroll={scrolled} onClick={clicked} tabindex={-1}>
        {thread.value.length === 0 ? (
          <Welcome />
        ) : (
          <div class="column">
            {thread.value.map((message) => (
              <Said key={message.id} message={message} />
            ))}
          </div>
        )}
      </main>
      {away && <IconButton icon="down" kind="to-end" label={say("message.bottom")} onClick={() => end("smooth")} />}
      <p class="offscreen" role="status">
        {live ? say("message.writing") : thread.value.at(-1)?.role === "assistant" ? say("message.done") : ""}
      </p>
    </div>
  );
}

/** The copy buttons of code are made from text, so that they are heard here. */
function clicked(event: MouseEvent): void {
  const button = (event.target as Element).closest<HTMLElement>("[data-copy]");
  const code = button?.closest(".code")?.querySelector("code");
  if (!button || !code) return;
  void copy(code.textContent ?? "").then(() => {
    button.dataset["copy"] = "done";
    button.textContent = say("message.copied");
    setTimeout(() => {
      button.dataset["copy"] = "1";
      button.textContent = say("message.copy");
    }, 1500);
  });
}
