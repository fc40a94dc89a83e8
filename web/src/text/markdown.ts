// Markdown to HTML that is safe to show. HTML in an answer is shown as text, pictures as links (an address would tell its
// host who reads), and whatever is left goes through DOMPurify.
import DOMPurify from "dompurify";
import { Marked, type Token, type TokensList } from "marked";
import { say } from "../words/say.ts";

const ALLOWED = {
  ALLOWED_TAGS: [
    ..."a b blockquote br button code del div em h1 h2 h3 h4 h5 h6 hr i input li ol p pre s span strong".split(" "),
    ..."sub sup table tbody td th thead tr ul".split(" "),
  ],
  ALLOWED_ATTR: ["align", "checked", "class", "colspan", "data-copy", "disabled", "href", "rel", "start", "tabindex", "target", "type"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: "align checked colspan data-copy disabled rel start tabindex target type".split(" "),
};
const LANGUAGE = /^[\w+#.-]{1,24}$/;

const marked = new Marked({
  gfm: true,
  renderer: {
    html({ text }) {
      return escape(text);
    },
    image({ href, text }) {
      return `<a href="${escape(href)}" target="_blank" rel="noopener noreferrer">${escape(text || href)}</a>`;
    },
    link({ href, tokens }) {
      const inner = this.parser.parseInline(tokens);
      return `<a href="${escape(href)}" target="_blank" rel="noopener noreferrer">${inner}</a>`;
    },
    code({ text, lang }) {
      const word = (lang ?? "").split(/\s/, 1)[0] ?? "";
      const name = LANGUAGE.test(word) ? word : "";
      const head = `<div class="code-head"><span>${escape(name)}</span><button type="button" data-copy="1">${escape(say("message.copy"))}</button></div>`;
      return `<div class="code">${head}<pre tabindex="0"><code class="language-${escape(name)}">${escape(text)}</code></pre></div>`;
    },
    table(token) {
      const cell = (each: { tokens: Token[]; align: string | null }, tag: string) =>
        `<${tag}${each.align ? ` align="${each.align}"` : ""}>${this.parser.parseInline(each.tokens)}</${tag}>`;
      const head = token.header.map((each) => cell(each, "th")).join("");
      const rows = token.rows.map((row) => `<tr>${row.map((each) => cell(each, "td")).join("")}</tr>`).join("");
      return `<div class="table" tabindex="0"><table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table></div>`;
    },
  },
});

/** The blocks of a text. While it grows only the last ones change, so that the others need not be made again. */
export function blocks(text: string): { raw: string; links: TokensList["links"]; token: Token }[] {
  const tokens = marked.lexer(text);
  return tokens.filter((token) => token.type !== "space").map((token) => ({ raw: token.raw, links: tokens.links, token }));
}

/** One block as safe HTML. */
export function html(token: Token, links: TokensList["links"]): string {
  return DOMPurify.sanitize(marked.parser(Object.assign([token], { links })), ALLOWED);
}

function escape(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
