// One chunk of a streamed answer in OpenAI's dialect, as llama.cpp writes it: both engines speak it.
import type { Counted, Piece } from "./engine.ts";

interface Chunk {
  choices?: { delta?: { content?: string | null; reasoning_content?: string | null }; finish_reason?: string | null }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  timings?: { prompt_n?: number; cache_n?: number; predicted_n?: number; predicted_per_second?: number };
}

/** Reads chunks, and counts where the engine does not. */
export class Reader {
  private counted: Counted = { promptTokens: 0, answerTokens: 0, perSecond: 0, reason: "" };
  private pieces = 0;
  private began = 0;
  private measured = false;

  read(raw: unknown): Piece | undefined {
    const chunk = raw as Chunk;
    const choice = chunk.choices?.[0];
    const { usage, timings } = chunk;
    if (choice?.finish_reason) this.counted.reason = choice.finish_reason;
    if (usage?.completion_tokens) {
      this.counted.answerTokens = usage.completion_tokens;
      this.counted.promptTokens = usage.prompt_tokens ?? 0;
    }
    if (timings?.predicted_n) {
      this.counted.answerTokens = timings.predicted_n;
      this.counted.promptTokens = (timings.prompt_n ?? 0) + (timings.cache_n ?? 0);
      this.counted.perSecond = timings.predicted_per_second ?? 0;
      this.measured = true;
    }
    const text = choice?.delta?.content ?? "";
    const thinking = choice?.delta?.reasoning_content ?? "";
    if (!text && !thinking) return undefined;
    this.pieces += 1;
    this.began ||= performance.now();
    return { ...(text && { text }), ...(thinking && { thinking }) };
  }

  end(): Piece {
    const { counted } = this;
    if (!counted.answerTokens) counted.answerTokens = this.pieces;
    const seconds = (performance.now() - this.began) / 1000;
    if (!this.measured && counted.answerTokens > 1 && seconds > 0) counted.perSecond = (counted.answerTokens - 1) / seconds;
    return { counted };
  }
}
