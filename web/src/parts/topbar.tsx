// The bar above the conversation: the list, the model, the context, the settings.
import type { Model } from "../engines/engine.ts";
import { usedContext } from "../state/chat.ts";
import { current } from "../state/conversations.ts";
import { choose, chosen, models } from "../state/models.ts";
import { listOpen, settingsOpen } from "../state/screen.ts";
import { number, say, size } from "../words/say.ts";
import { IconButton } from "./icon.tsx";

const NEARLY_FULL = 0.9;

export function Topbar() {
  return (
    <header class="topbar">
      <IconButton
        icon="menu"
        kind="narrow-only"
        label={say("list.open")}
        expanded={listOpen.value}
        onClick={() => (listOpen.value = true)}
      />
      <Picker />
      <span class="space" />
      <Meter />
      <IconButton icon="gear" label={say("settings.title")} onClick={() => (settingsOpen.value = true)} />
    </header>
  );
}

function Picker() {
  const model = chosen.value;
  const groups = (["server", "browser"] as const).map((where) => [where, models.value.filter((each) => each.where === where)] as const);
  return (
    <label class="picker">
      <select
        aria-label={say("model.pick")}
        value={model?.key ?? ""}
        onChange={(event) => {
          const wanted = models.value.find((each) => each.key === event.currentTarget.value);
          if (wanted) choose(wanted);
        }}
      >
        {!model && <option value="">{say("model.none")}</option>}
        {groups
          .filter(([, found]) => found.length)
          .map(([where, found]) => (
            <optgroup key={where} label={say(`model.${where}`)}>
              {found.map((each) => (
                <option key={each.key} value={each.key}>
                  {described(each)}
                </option>
              ))}
            </optgroup>
          ))}
      </select>
    </label>
  );
}

/** Bytes of memory that a browser may have, where it tells (https://www.w3.org/TR/device-memory), and the share of it that
 * a model's file may take. */
const MEMORY = ((navigator as { deviceMemory?: number }).deviceMemory ?? Infinity) * 2 ** 30;
const SHARE = 0.5;

function described(model: Model): string {
  const tight = model.where === "browser" && model.bytes > MEMORY * SHARE;
  const coming = model.where === "server" && !model.ready;
  const facts = [model.bytes ? size(model.bytes) : "", coming ? say("model.loading") : "", tight ? say("model.tight") : ""].filter(Boolean);
  return facts.length ? `${model.name} · ${facts.join(" · ")}` : model.name;
}

/** How much of the model's context the conversation took. */
function Meter() {
  const all = chosen.value?.context ?? 0;
  const used = usedContext(current.value);
  if (!all || !used) return null;
  const share = Math.min(1, used / all);
  const label = say("meter.label", { used: number(used), all: number(all) });
  const title = share > NEARLY_FULL ? `${label}. ${say("meter.full")}` : label;
  return (
    <span class="meter" title={title} data-full={share > NEARLY_FULL}>
      <svg viewBox="0 0 20 20" role="img" aria-label={title}>
        <circle cx="10" cy="10" r="7.5" />
        <circle cx="10" cy="10" r="7.5" pathLength="100" stroke-dasharray={`${Math.round(share * 100)} 100`} />
      </svg>
      <span class="wide-only" aria-hidden="true">
        {number(Math.round(share * 100))} %
      </span>
    </span>
  );
}
