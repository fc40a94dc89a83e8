// The model inside the browser: llama.cpp as wasm (wllama), which speaks the same dialect as the server.
import { signal } from "@preact/signals";
import * as models from "../offline/models.ts";
import { Reader } from "./chunk.ts";
import { Trouble, type Engine, type Piece, type Question, type Turn } from "./engine.ts";
import type { Wllama } from "./wllama.ts";

/** Most tokens of context that a browser sets aside: the cache of a model grows with it. */
const MOST_CONTEXT = 4096;

/** What the engine is doing before it can answer: the model that is being loaded. */
export const loading = signal("");
/** Facts of the model that is loaded. */
export const loaded = signal<{ id: string; context: number; sees: boolean; threads: number } | null>(null);

export class Browser implements Engine {
  private held: { id: string; wllama: Wllama } | undefined;

  async *answer(question: Question, signal: AbortSignal): AsyncGenerator<Piece> {
    const wllama = await this.ready(question.model);
    signal.throwIfAborted();
    const reader = new Reader();
    const chunks = await wllama.createChatCompletion({
      messages: question.turns.map(message),
      stream: true,
      timings_per_token: true,
      cache_prompt: true,
      abortSignal: signal,
      ...question.sampling,
      chat_template_kwargs: { enable_thinking: question.thinking === true },
    } as Parameters<Wllama["createChatCompletion"]>[0] & { stream: true });
    try {
      for await (const chunk of chunks) {
        const piece = reader.read(chunk);
        if (piece) yield piece;
      }
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Trouble("engine", (error as Error).message);
    }
    yield reader.end();
  }

  /** The model `id`, loaded. Throws Trouble "gone", "engine". */
  private async ready(id: string): Promise<Wllama> {
    if (this.held?.id === id) return this.held.wllama;
    const offer = models.kept.value.find((each) => each.id === id);
    if (!offer) throw new Trouble("gone");
    loading.value = offer.name;
    try {
      const file = await models.open(id);
      await this.held?.wllama.exit();
      this.held = undefined;
      const { engine } = await import("./wllama.ts");
      const wllama = await engine();
      const context = Math.min(offer.context || MOST_CONTEXT, MOST_CONTEXT);
      await wllama.loadModel([file], { n_ctx: context, n_parallel: 1, n_gpu_layers: 0 });
      const { hparams, meta } = wllama.getModelMetadata();
      if (!offer.context) {
        models.learn(id, { context: hparams.nCtxTrain, thinks: thinks(meta) }); // it came from a file, unread until now
        if (hparams.nCtxTrain < context) {
          await wllama.exit();
          return await this.ready(id);
        }
      }
      this.held = { id, wllama };
      const info = wllama.getLoadedContextInfo();
      const room = Math.min(context, info.n_ctx);
      loaded.value = { id, context: room, sees: wllama.supportInputModality("image"), threads: wllama.getNumThreads() };
      return wllama;
    } catch (error) {
      throw error instanceof Trouble ? error : new Trouble("engine", (error as Error).message);
    } finally {
      loading.value = "";
    }
  }
}

/** Whether the model's chat template can be told to think, as `export/offer.py` finds it out. */
function thinks(meta: Record<string, string>): boolean {
  return meta["tokenizer.chat_template"]?.includes("enable_thinking") ?? false;
}

function message(turn: Turn): object {
  return { role: turn.role, content: turn.text };
}
