// The seam: what every engine is to the page. One speaks to a penjing server, one runs the model inside the browser.

export interface Turn {
  role: "system" | "user" | "assistant";
  text: string;
  /** Pictures as data: URLs. */
  images?: string[];
}

/** What can be set about an answer; what is not set is the model's own. */
export interface Sampling {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repeat_penalty?: number;
  max_tokens?: number;
  seed?: number;
}

export interface Question {
  model: string;
  turns: Turn[];
  sampling: Sampling;
  /** Whether the model should think before it answers; undefined where it cannot. */
  thinking: boolean | undefined;
}

/** A piece of an answer. The last one carries what was counted. */
export interface Piece {
  text?: string;
  thinking?: string;
  counted?: Counted;
}

export interface Counted {
  promptTokens: number;
  answerTokens: number;
  /** Tokens a second while writing, as the engine measured it or as they arrived. */
  perSecond: number;
  /** Why it ended: "stop", or "length" where the limit or the context cut it. */
  reason: string;
}

export interface Model {
  /** Unique over all engines. */
  key: string;
  /** What its engine calls it. */
  id: string;
  /** What people call it. */
  name: string;
  where: "server" | "browser";
  ready: boolean;
  /** Tokens, 0 where unknown. */
  context: number;
  /** Bytes of its file, 0 where unknown. */
  bytes: number;
  sees: boolean;
  thinks: boolean;
  /** What is wrong with it, in the engine's words. */
  failure?: string;
}

export interface Engine {
  /** The pieces of an answer until it ends or `signal` aborts; then what was written so far stays. */
  answer(question: Question, signal: AbortSignal): AsyncIterable<Piece>;
}

/** Something that a person can be told. `kind` is looked up among the words of the page, `detail` is shown as it is. */
export class Trouble extends Error {
  readonly kind: string;
  readonly detail: string;

  constructor(kind: string, detail = "") {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
  }
}
