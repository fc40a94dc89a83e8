// The settings: look, instructions, sampling, data.
import { useRef, useState } from "preact/hooks";
import type { Sampling } from "../engines/engine.ts";
import { newId } from "../keep/conversation.ts";
import { every } from "../keep/database.ts";
import { download, toJson } from "../keep/transfer.ts";
import * as conversations from "../state/conversations.ts";
import { refresh, serverState } from "../state/models.ts";
import { tell } from "../state/notes.ts";
import { settingsOpen } from "../state/screen.ts";
import { set, settings, type Settings as Kept } from "../state/settings.ts";
import { number, say } from "../words/say.ts";
import type { Word } from "../words/en.ts";
import { Dialog } from "./dialog.tsx";
import { Pocket } from "./pocket.tsx";

export function Settings() {
  if (!settingsOpen.value) return null;
  return (
    <Dialog title={say("settings.title")} close={() => (settingsOpen.value = false)} kind="settings">
      <Look />
      <Instructions />
      <Answers />
      <Pocket />
      {serverState.value !== "none" && <Connection />}
      <Data />
    </Dialog>
  );
}

function Look() {
  const { language, theme } = settings.value;
  return (
    <section>
      <h3>{say("settings.look")}</h3>
      <label class="row">
        <span>{say("settings.language")}</span>
        <select value={language} onChange={(event) => set({ language: event.currentTarget.value as Kept["language"] })}>
          <option value="">{say("settings.auto")}</option>
          <option value="en">English</option>
          <option value="zh">简体中文</option>
        </select>
      </label>
      <label class="row">
        <span>{say("settings.theme")}</span>
        <select value={theme} onChange={(event) => set({ theme: event.currentTarget.value as Kept["theme"] })}>
          <option value="">{say("settings.auto")}</option>
          <option value="light">{say("settings.light")}</option>
          <option value="dark">{say("settings.dark")}</option>
        </select>
      </label>
    </section>
  );
}

function Instructions() {
  const { presets, preset } = settings.value;
  const conversation = conversations.current.value;
  const used = presets.find((each) => each.system === conversation.system);
  const [name, setName] = useState("");
  const write = (system: string) => {
    const changed = { ...conversation, system };
    if (conversation.messages.length) void conversations.keep(changed);
    else conversations.current.value = changed;
  };
  const save = () => {
    const made = { id: newId(), name: name.trim(), system: conversation.system };
    set({ presets: [...presets, made] });
    setName("");
  };
  return (
    <section>
      <h3>{say("settings.instructions")}</h3>
      <p class="hint">{say("settings.instructions.help")}</p>
      {presets.length > 0 && (
        <label class="row">
          <span>{say("settings.preset")}</span>
          <select
            value={used?.id ?? ""}
            onChange={(event) => write(presets.find((each) => each.id === event.currentTarget.value)?.system ?? "")}
          >
            <option value="">{say("settings.preset.none")}</option>
            {presets.map((each) => (
              <option key={each.id} value={each.id}>
                {each.name}
              </option>
            ))}
          </select>
        </label>
      )}
      <textarea
        class="box"
        rows={3}
        aria-label={say("settings.instructions.here")}
        placeholder={say("settings.instructions.here")}
        value={conversation.system}
        onInput={(event) => write(event.currentTarget.value)}
      />
      {used ? (
        <div class="row">
          <label class="check">
            <input type="checkbox" checked={preset === used.id} onChange={() => set({ preset: preset === used.id ? "" : used.id })} />
            {say("settings.preset.use")}
          </label>
          <button
            type="button"
            class="button quiet"
            onClick={() => set({ presets: presets.filter((each) => each.id !== used.id), preset: preset === used.id ? "" : preset })}
          >
            {say("settings.preset.remove")}
          </button>
        </div>
      ) : (
        conversation.system.trim() && (
          <div class="row wrap">
            <input
              class="box"
              value={name}
              aria-label={say("settings.preset.name")}
              placeholder={say("settings.preset.name")}
              onInput={(event) => setName(event.currentTarget.value)}
            />
            <button type="button" class="button" disabled={!name.trim()} onClick={save}>
              {say("settings.preset.save")}
            </button>
          </div>
        )
      )}
    </section>
  );
}

interface Dial {
  name: keyof Sampling;
  most: number;
  step: number;
}

const DIALS: Dial[] = [
  { name: "temperature", most: 2, step: 0.05 },
  { name: "max_tokens", most: 131072, step: 1 },
];
/** Those that few people turn. */
const MORE: Dial[] = [
  { name: "top_p", most: 1, step: 0.01 },
  { name: "top_k", most: 1000, step: 1 },
  { name: "min_p", most: 1, step: 0.01 },
  { name: "repeat_penalty", most: 2, step: 0.05 },
  { name: "seed", most: 2 ** 31 - 1, step: 1 },
];

function Answers() {
  const { sampling } = settings.value;
  return (
    <section>
      <h3>{say("settings.answers")}</h3>
      <Dials dials={DIALS} />
      <details class="more" open={MORE.some(({ name }) => name in sampling)}>
        <summary>{say("settings.more")}</summary>
        <Dials dials={MORE} />
      </details>
      {Object.keys(sampling).length > 0 && (
        <button type="button" class="button quiet" onClick={() => set({ sampling: {} })}>
          {say("settings.reset")}
        </button>
      )}
    </section>
  );
}

function Dials({ dials }: { dials: Dial[] }) {
  const { sampling } = settings.value;
  return (
    <div class="dials">
      {dials.map((dial) => (
        <label key={dial.name} class="dial">
          <span>{say(`settings.${dial.name}` as Word)}</span>
          <input
            class="box"
            type="number"
            inputmode="decimal"
            min={0}
            max={dial.most}
            step={dial.step}
            value={sampling[dial.name] ?? ""}
            placeholder={say("settings.default")}
            onChange={(event) => turn(dial, event.currentTarget)}
          />
          <small>{say(`settings.${dial.name}.help` as Word)}</small>
        </label>
      ))}
    </div>
  );
}

/** Set what was written; what does not fit is told by the browser and leaves the model's own. */
function turn({ name, step }: Dial, input: HTMLInputElement): void {
  const rest = { ...settings.value.sampling };
  delete rest[name];
  const value = input.valueAsNumber;
  const { rangeUnderflow, rangeOverflow } = input.validity;
  const fits = Number.isFinite(value) && !rangeUnderflow && !rangeOverflow && (step < 1 || Number.isInteger(value));
  if (!fits) input.reportValidity();
  set({ sampling: fits ? { ...rest, [name]: value } : rest });
}

function Connection() {
  return (
    <section>
      <h3>{say("settings.connection")}</h3>
      <KeyForm />
    </section>
  );
}

/** Asks for the server's key. */
export function KeyForm({ done }: { done?: () => void }) {
  const [key, setKey] = useState(settings.value.apiKey);
  const save = (event: Event) => {
    event.preventDefault();
    set({ apiKey: key.trim() });
    void refresh().then(done);
  };
  return (
    <form onSubmit={save}>
      <p class="hint">{say("key.help")}</p>
      <div class="row">
        <input
          class="box"
          type="password"
          autocomplete="off"
          aria-label={say("key.title")}
          placeholder={say("key.title")}
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <button type="submit" class="button">
          {say("key.save")}
        </button>
      </div>
    </form>
  );
}

function Data() {
  const input = useRef<HTMLInputElement>(null);
  const count = conversations.heads.value.length;
  const save = async () => download("penjing-chats.json", "application/json", toJson(await every()));
  const removeAll = () => {
    if (confirm(say("settings.removeAll.sure", { count: number(count) }))) conversations.removeAll().catch(tell);
  };
  return (
    <section>
      <h3>{say("settings.data")}</h3>
      <p class="hint">{say("settings.data.help")}</p>
      <div class="buttons">
        <button type="button" class="button" disabled={!count} onClick={() => save().catch(tell)}>
          {say("settings.export")}
        </button>
        <button type="button" class="button" onClick={() => input.current?.click()}>
          {say("settings.import")}
        </button>
        <button type="button" class="button grave" disabled={!count} onClick={removeAll}>
          {say("settings.removeAll")}
        </button>
      </div>
      <input
        ref={input}
        type="file"
        accept=".json,application/json"
        hidden
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) conversations.readFile(file).catch(tell);
          event.currentTarget.value = "";
        }}
      />
    </section>
  );
}
