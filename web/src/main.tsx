// Where the page begins.
import { render } from "preact";
import "./look/style.css";
import { App } from "./parts/app.tsx";
import * as conversations from "./state/conversations.ts";
import * as models from "./state/models.ts";

const root = document.getElementById("app");
if (root) render(<App />, root);
models.start();
void conversations.start();
