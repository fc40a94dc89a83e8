// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as OpenAI's dialect uses
// them: the data of each event, one after the other.

export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith("data:")) yield line.slice(line[5] === " " ? 6 : 5);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
