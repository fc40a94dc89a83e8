// A penjing server over HTTP, the one that this page came from.
import { Reader } from "./chunk.ts";
import { Trouble, type Engine, type Model, type Piece, type Question, type Turn } from "./engine.ts";
import { events } from "./sse.ts";

interface Listed {
  id: string;
  ready?: boolean;
  context_length?: number;
  capabilities?: string[];
}

export class Server implements Engine {
  private readonly base: string;
  private readonly key: () => string;

  /** `base` ends without a slash; `key` is asked for every request. */
  constructor(base: string, key: () => string) {
    this.base = base;
    this.key = key;
  }

  /** The models that the server has. Throws Trouble: "key", "unreachable", "refused". */
  async models(): Promise<Model[]> {
    const response = await this.fetch("/v1/models", {});
    const body = (await response.json()) as { data: Listed[] };
    return body.data
      .filter((each) => !each.capabilities || each.capabilities.includes("chat"))
      .map((each) => ({
        key: `server:${each.id}`,
        id: each.id,
        name: each.id,
        where: "server" as const,
        ready: each.ready !== false,
        context: each.context_length ?? 0,
        bytes: 0,
        sees: each.capabilities?.includes("vision") ?? false,
        thinks: each.capabilities?.includes("reasoning") ?? false,
      }));
  }

  async *answer(question: Question, signal: AbortSignal): AsyncGenerator<Piece> {
    const body = {
      model: question.model,
      messages: question.turns.map(message),
      stream: true,
      stream_options: { include_usage: true },
      ...question.sampling,
      ...(question.thinking !== undefined && { enable_thinking: question.thinking, return_reasoning: true }),
    };
    const response = await this.fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    const reader = new Reader();
    if (!response.body) throw new Trouble("broken");
    for await (const data of events(response.body)) {
      if (data === "[DONE]") {
        yield reader.end();
        return;
      }
      const chunk = JSON.parse(data) as { error?: { message?: string } };
      if (chunk.error) throw new Trouble("refused", chunk.error.message ?? "");
      const piece = reader.read(chunk);
      if (piece) yield piece;
    }
    throw new Trouble("broken");
  }

  private async fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const key = this.key();
    if (key) headers.set("Authorization", `Bearer ${key}`);
    let response: Response;
    try {
      response = await fetch(this.base + path, { ...init, headers, cache: "no-store" });
    } catch (error) {
      if ((error as Error).name === "AbortError") throw error;
      throw new Trouble("unreachable");
    }
    if (response.ok) return response;
    const said = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
    if (response.status === 401) throw new Trouble("key", said.error?.message);
    throw new Trouble("refused", said.error?.message ?? `HTTP ${response.status}`);
  }
}

function message(turn: Turn): object {
  if (!turn.images?.length) return { role: turn.role, content: turn.text };
  const pictures = turn.images.map((url) => ({ type: "image_url", image_url: { url } }));
  return { role: turn.role, content: [...pictures, { type: "text", text: turn.text }] };
}
