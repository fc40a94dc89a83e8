// One line between the bar and the conversation, where there is something to know: the most urgent one.
import { loading } from "../engines/browser.ts";
import { newer, renew } from "../offline/start.ts";
import { coming, stop } from "../offline/models.ts";
import { chosen, fetchFor, serverState } from "../state/models.ts";
import { tell } from "../state/notes.ts";
import { say, size } from "../words/say.ts";

export function Banner() {
  const model = chosen.value;
  const wanted = model?.where === "browser" && !model.ready ? model : undefined;
  const [id, way] = Object.entries(coming.value)[0] ?? [];
  if (id && way && (wanted || way.bytes > 50_000_000)) {
    const word = way.stage === "checking" ? "models.checking" : "models.coming";
    const text = say(word, { model: way.name, have: size(way.have), all: size(way.bytes) });
    return <Line text={text} share={way.have / way.bytes} offer={say("models.stop")} act={() => stop(id)} />;
  }
  if (wanted) {
    const text = say("models.keep", { model: wanted.name, size: size(wanted.bytes) });
    return <Line text={text} offer={say("models.keep.do")} act={() => fetchFor(wanted).catch(tell)} />;
  }
  if (loading.value) return <Line text={say("models.loading", { model: loading.value })} />;
  if (serverState.value === "away") {
    return <Line text={model ? say("offline.fallback", { model: model.name }) : say("server.away")} />;
  }
  if (newer.value) return <Line text={say("offline.newer")} offer={say("offline.renew")} act={renew} />;
  return null;
}

function Line({ text, offer, act, share }: { text: string; offer?: string; act?: () => void; share?: number }) {
  return (
    <div class="banner">
      <span role="status">{text}</span>
      {offer && (
        <button type="button" class="button quiet" onClick={act}>
          {offer}
        </button>
      )}
      {share !== undefined && <progress value={share} max={1} aria-label={text} />}
    </div>
  );
}
