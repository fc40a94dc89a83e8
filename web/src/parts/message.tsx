// One message: what was said, and what can be done with it.
import { useState } from "preact/hooks";
import { copy } from "../look/clipboard.ts";
import { siblings, type Message } from "../keep/conversation.ts";
import * as chat from "../state/chat.ts";
import { current } from "../state/conversations.ts";
import { number, say, sayTrouble } from "../words/say.ts";
import { IconButton } from "./icon.tsx";
import { Markdown } from "./markdown.tsx";
import { Writer } from "./writer.tsx";

export function Said({ message }: { message: Message }) {
  const live = chat.writing.value === message.id ? (chat.live.value ?? undefined) : undefined;
  return message.role === "user" ? <Asked message={message} /> : <Answered message={message} live={live} />;
}

function Asked({ message }: { message: Message }) {
  const [editing, setEditing] = useState(false);
  if (editing) {
    const send = (text: string) => {
      setEditing(false);
      void chat.edit(message, text);
    };
    return (
      <article class="message user editing" aria-label={say("message.you")}>
        {message.images && <Pictures images={message.images} />}
        <Writer begin={message.text} send={send} cancel={() => setEditing(false)} />
      </article>
    );
  }
  return (
    <article class="message user" aria-label={say("message.you")}>
      {message.images && <Pictures images={message.images} />}
      <div class="bubble">{message.text}</div>
      <div class="tools">
        <Versions message={message} />
        <Copy text={message.text} />
        <IconButton icon="pencil" label={say("message.edit")} disabled={!!chat.writing.value} onClick={() => setEditing(true)} />
      </div>
    </article>
  );
}

function Answered({ message, live }: { message: Message; live: chat.Live | undefined }) {
  const text = live?.text ?? message.text;
  const thinking = live?.thinking ?? message.thinking ?? "";
  return (
    <article class="message assistant" aria-label={message.model ?? "penjing"} aria-busy={!!live}>
      {thinking && <Thought text={thinking} busy={!!live && !text} />}
      {text && <Markdown text={text} growing={!!live} />}
      {live && !text && !thinking && <span class="dots" role="img" aria-label={say("message.writing")} />}
      {!live && <Ending message={message} />}
      <div class="tools">
        {!live && <Versions message={message} />}
        {!live && text && <Copy text={text} />}
        {!live && (
          <IconButton
            icon="again"
            label={say("message.again")}
            disabled={!!chat.writing.value}
            onClick={() => void chat.regenerate(message)}
          />
        )}
        <Speed message={message} live={live} />
      </div>
    </article>
  );
}

function Ending({ message }: { message: Message }) {
  if (message.error) return <p class="ending grave">{sayTrouble(message.error)}</p>;
  if (message.state === "stopped") return <p class="ending">{say("message.stopped")}</p>;
  if (message.counted?.reason === "length") return <p class="ending">{say("message.cut")}</p>;
  return null;
}

function Thought({ text, busy }: { text: string; busy: boolean }) {
  return (
    <details class="thought">
      <summary>{busy ? say("message.thinking") : say("message.thought")}</summary>
      <div class="thought-text">{text.trim()}</div>
    </details>
  );
}

function Speed({ message, live }: { message: Message; live: chat.Live | undefined }) {
  const counted = message.counted;
  if (live) return live.perSecond ? <span class="speed">{speed(live.perSecond)}</span> : null;
  if (!counted?.perSecond) return null;
  const label = say("message.speed", { tokens: number(counted.answerTokens), speed: number(counted.perSecond, 1) });
  return (
    <span class="speed" title={label}>
      {speed(counted.perSecond)}
    </span>
  );
}

function speed(perSecond: number): string {
  return `${number(perSecond, perSecond < 100 ? 1 : 0)} tok/s`;
}

function Copy({ text }: { text: string }) {
  const [done, setDone] = useState(false);
  const act = () => {
    void copy(text).then(() => {
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    });
  };
  return <IconButton icon={done ? "check" : "copy"} label={say(done ? "message.copied" : "message.copy")} onClick={act} />;
}

/** Which of several versions is read, and the way to the others. */
function Versions({ message }: { message: Message }) {
  const all = siblings(current.value, message);
  if (all.length < 2) return null;
  const at = all.findIndex((each) => each.id === message.id);
  const to = (index: number) => {
    const other = all[index];
    if (other) void chat.turn(other);
  };
  const busy = !!chat.writing.value;
  return (
    <span class="versions" role="group" aria-label={say("message.version", { at: at + 1, count: all.length })}>
      <IconButton icon="left" label={say("message.previous")} disabled={busy || at === 0} onClick={() => to(at - 1)} />
      <span aria-hidden="true">
        {at + 1}/{all.length}
      </span>
      <IconButton icon="right" label={say("message.next")} disabled={busy || at === all.length - 1} onClick={() => to(at + 1)} />
    </span>
  );
}

export function Pictures({ images, remove }: { images: string[]; remove?: (index: number) => void }) {
  return (
    <div class="pictures">
      {images.map((url, index) => (
        <span key={url} class="picture">
          <img src={url} alt="" />
          {remove && <IconButton icon="close" label={say("write.removePicture")} onClick={() => remove(index)} />}
        </span>
      ))}
    </div>
  );
}
