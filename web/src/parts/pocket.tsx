// The models on this device: which, how much room, and how they come and go.
import { useEffect, useRef, useState } from "preact/hooks";
import { able, coming, kept, remove } from "../offline/models.ts";
import { askToLast, storage, type Storage } from "../offline/storage.ts";
import { distrusted } from "../offline/start.ts";
import { fetchFor, fingerprint, ofBrowser, take } from "../state/models.ts";
import { note, tell } from "../state/notes.ts";
import { say, size } from "../words/say.ts";
import { IconButton } from "./icon.tsx";

export function Pocket() {
  return (
    <section>
      <h3>{say("models.title")}</h3>
      <p class="hint">{say(able ? "models.help" : "models.unable")}</p>
      {distrusted.value && <Trust />}
      {able && (
        <>
          <List />
          <File />
          <Room />
        </>
      )}
    </section>
  );
}

/** How to have the page kept where its certificate is this house's own. */
function Trust() {
  return (
    <div class="trust">
      <p>{say("trust.why")}</p>
      {fingerprint.value && (
        <>
          <ol>
            <li>
              <a href="./authority.crt">{say("trust.get")}</a>
            </li>
            <li>{say("trust.compare")}</li>
            <li>{say("trust.allow")}</li>
          </ol>
          <code>{fingerprint.value}</code>
        </>
      )}
    </div>
  );
}

function List() {
  return (
    <ul class="pocket">
      {ofBrowser.value.map((model) => {
        const way = coming.value[model.id];
        return (
          <li key={model.id} class="row">
            <span class="pocket-name">
              {model.name}
              <small>{way ? `${size(way.have)} / ${size(way.bytes)}` : size(model.bytes)}</small>
            </span>
            {model.ready ? (
              <IconButton icon="bin" label={say("models.remove", { model: model.name })} onClick={() => remove(model.id).catch(tell)} />
            ) : (
              <IconButton
                icon="save"
                label={say("models.fetch", { model: model.name })}
                disabled={!!way}
                onClick={() => fetchFor(model).catch(tell)}
              />
            )}
          </li>
        );
      })}
    </ul>
  );
}

function File() {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        accept=".gguf"
        hidden
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) take(file).catch(tell);
          event.currentTarget.value = "";
        }}
      />
      <div class="buttons">
        <button type="button" class="button" onClick={() => input.current?.click()}>
          {say("models.file")}
        </button>
      </div>
    </>
  );
}

/** What is used of the device, and whether it lasts. */
function Room() {
  const [room, setRoom] = useState<Storage | null>(null);
  const look = () => void storage().then(setRoom);
  useEffect(look, [kept.value, coming.value]);
  if (!room) return null;
  const ask = async () => {
    if (!(await askToLast())) note(say("models.notLasting"));
    look();
  };
  return (
    <div class="room">
      <p class="hint">
        {say("models.storage", { used: size(room.used), quota: size(room.quota) })}{" "}
        {say(room.lasting ? "models.lasting" : "models.fleeting")}
      </p>
      {!room.lasting && (
        <button type="button" class="button quiet" onClick={() => ask().catch(tell)}>
          {say("models.last")}
        </button>
      )}
    </div>
  );
}
