// A text in Markdown, block by block: only blocks that changed are made again.
import { memo } from "preact/compat";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { highlight } from "../text/highlight.ts";
import { blocks, html } from "../text/markdown.ts";
import { language } from "../words/say.ts";

const Block = memo(
  function Block({ make }: { raw: string; language: string; make: () => string }) {
    return <div class="block" dangerouslySetInnerHTML={{ __html: make() }} />;
  },
  (before, after) => before.raw === after.raw && before.language === after.language,
);

/** `growing`: more is coming, so that the last block is not coloured yet. */
export function Markdown({ text, growing = false }: { text: string; growing?: boolean }) {
  const root = useRef<HTMLDivElement>(null);
  const parts = useMemo(() => blocks(text), [text]);
  const settled = growing ? parts.length - 1 : parts.length;
  useEffect(() => {
    if (!root.current) return;
    for (const block of [...root.current.children].slice(0, settled)) void highlight(block);
  }, [settled, growing, language.value]);
  return (
    <div class="markdown" ref={root}>
      {parts.map(({ raw, links, token }, index) => (
        <Block key={index} raw={raw} language={language.value} make={() => html(token, links)} />
      ))}
    </div>
  );
}
