// What an empty conversation shows.
import * as chat from "../state/chat.ts";
import { chosen } from "../state/models.ts";
import { say } from "../words/say.ts";
import { Tree } from "./tree.tsx";

const TRIES = ["welcome.try.1", "welcome.try.2", "welcome.try.3"] as const;

export function Welcome() {
  const model = chosen.value;
  return (
    <div class="welcome">
      <Tree />
      <h1>{say("welcome.title")}</h1>
      {model && <p>{model.where === "browser" ? say("welcome.here") : say("welcome.private", { model: model.name })}</p>}
      {model?.name === "guide" && (
        <ul class="tries">
          {TRIES.map((word) => (
            <li key={word}>
              <button type="button" class="try" disabled={!model.ready} onClick={() => void chat.send(say(word))}>
                {say(word)}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
