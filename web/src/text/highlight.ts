// Colours for code, loaded when the first block of it is shown.
import type { HLJSApi } from "highlight.js";

let loading: Promise<HLJSApi> | undefined;

/** Colour the blocks in `root` that are not yet. An unknown language stays plain: guessing would be slow and often wrong. */
export async function highlight(root: ParentNode): Promise<void> {
  const plain = root.querySelectorAll<HTMLElement>("code[class^=language-]:not(.hljs)");
  const named = [...plain].filter((code) => code.className.length > "language-".length);
  if (!named.length) return;
  loading ??= import("./languages.ts").then((module) => module.default);
  const hljs = await loading;
  for (const code of named) {
    const language = code.className.slice("language-".length).toLowerCase();
    if (!hljs.getLanguage(language) || code.classList.contains("hljs")) continue;
    // highlight.js escapes what it is given; the result holds nothing but its own spans
    code.innerHTML = hljs.highlight(code.textContent ?? "", { language, ignoreIllegals: true }).value;
    code.classList.add("hljs");
  }
}
