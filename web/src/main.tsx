// Where the page begins.
import { render } from "preact";
import "./look/style.css";
import * as offline from "./offline/start.ts";
import { App } from "./parts/app.tsx";
import * as conversations from "./state/conversations.ts";
import * as models from "./state/models.ts";
import { tell } from "./state/notes.ts";

const root = document.getElementById("app");
if (root) render(<App />, root);
void conversations.start();
models.start().catch(tell);
offline.start().catch(tell);
