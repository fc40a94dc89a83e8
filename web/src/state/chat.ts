// One answer at a time: asking, streaming, stopping, asking again.
import { computed, signal } from "@preact/signals";
import { Trouble, type Counted, type Model, type Turn } from "../engines/engine.ts";
import { grown, newId, path, replaced, turnedTo, turns, type Conversation, type Message } from "../keep/conversation.ts";
import { current, keep } from "./conversations.ts";
import { chosen, engineOf, refresh, serverState } from "./models.ts";
import { note } from "./notes.ts";
import { settings } from "./settings.ts";
import { say } from "../words/say.ts";

/** The answer that is being written. It changes with every frame; the conversation only when it ends. */
export interface Live {
  conversation: string;
  message: string;
  text: string;
  thinking: string;
  perSecond: number;
}

const SAVE_SECONDS = 2;
export const live = signal<Live | null>(null);
/** The id of the answer that is being written, "" while none is: who asks only this hears nothing of each frame. */
export const writing = computed(() => live.value?.message ?? "");
let stopping: AbortController | undefined;

export function stop(): void {
  stopping?.abort();
}

/** Say something and have it answered. */
export async function send(text: string, images: string[] = []): Promise<void> {
  const conversation = current.value;
  await ask(grown(conversation, question(text, conversation.leaf, images)));
}

/** Another answer beside `answer`. */
export async function regenerate(answer: Message): Promise<void> {
  await ask({ ...current.value, leaf: answer.parent });
}

/** The same question in other words, beside the old one. */
export async function edit(message: Message, text: string): Promise<void> {
  await ask(grown(current.value, question(text, message.parent, message.images ?? [])));
}

/** Read another branch. */
export async function turn(message: Message): Promise<void> {
  await keep(turnedTo(current.value, message));
}

function question(text: string, parent: string | null, images: string[]): Message {
  return { id: newId(), parent, role: "user", text, at: Date.now(), ...(images.length && { images }) };
}

async function ask(conversation: Conversation): Promise<void> {
  const model = chosen.value;
  if (live.value || !model) return;
  const answer: Message = {
    id: newId(),
    parent: conversation.leaf,
    role: "assistant",
    text: "",
    at: Date.now(),
    model: model.name,
  };
  const asked = readable(turns(conversation), model);
  const held = grown(conversation, answer);
  live.value = { conversation: held.id, message: answer.id, text: "", thinking: "", perSecond: 0 };
  await keep(held);
  stopping = new AbortController();
  const ended = await written(held, answer, model, asked, stopping.signal);
  live.value = null;
  await keep(replaced(latest(held), ended));
  if (ended.state === "failed") void refresh();
}

/** Without pictures where the model sees none, so that a conversation can go on with another model. */
function readable(asked: Turn[], model: Model): Turn[] {
  if (model.sees || !asked.some((turn) => turn.images)) return asked;
  note(say("write.blind", { model: model.name }));
  return asked.map(({ role, text }) => ({ role, text }));
}

/** The answer as it ended, however it did. */
async function written(
  held: Conversation,
  answer: Message,
  model: Model,
  asked: Turn[],
  signal: AbortSignal,
): Promise<Message> {
  const { sampling, thinking } = settings.value;
  const ended: Message = { ...answer };
  const frame = new Frame((text, thought, perSecond) => {
    live.value = { conversation: held.id, message: answer.id, text, thinking: thought, perSecond };
  });
  let saved = Date.now();
  try {
    const wanted = { model: model.id, turns: asked, sampling, thinking: model.thinks ? thinking : undefined };
    for await (const piece of engineOf(model).answer(wanted, signal)) {
      frame.add(piece.text ?? "", piece.thinking ?? "");
      if (piece.counted) ended.counted = piece.counted;
      if (Date.now() - saved > SAVE_SECONDS * 1000) {
        saved = Date.now(); // a phone may end the page at any time
        void keep(replaced(latest(held), { ...ended, ...frame.said(), state: "stopped" }));
      }
    }
  } catch (error) {
    if (signal.aborted) ended.state = "stopped";
    else {
      ended.state = "failed";
      const trouble = error instanceof Trouble ? error : new Trouble("unknown", String(error));
      if (trouble.kind === "key") serverState.value = "locked";
      ended.error = { kind: trouble.kind, detail: trouble.detail };
    }
  }
  if (signal.aborted) ended.state = "stopped";
  frame.end();
  if (!ended.counted && frame.pieces) ended.counted = frame.counted();
  return { ...ended, ...frame.said() };
}

/** The conversation as it is now: somebody may have renamed it meanwhile. */
function latest(held: Conversation): Conversation {
  return current.value.id === held.id ? current.value : held;
}

/** Shows what arrives once a frame, however fast it arrives. */
class Frame {
  pieces = 0;
  private text = "";
  private thinking = "";
  private waiting = 0;
  private began = 0;
  private readonly show: (text: string, thinking: string, perSecond: number) => void;

  constructor(show: (text: string, thinking: string, perSecond: number) => void) {
    this.show = show;
  }

  add(text: string, thinking: string): void {
    if (!text && !thinking) return;
    this.began ||= performance.now();
    this.pieces += 1;
    this.text += text;
    this.thinking += thinking;
    this.waiting ||= requestAnimationFrame(() => {
      this.waiting = 0;
      this.show(this.text, this.thinking, this.perSecond());
    });
  }

  end(): void {
    cancelAnimationFrame(this.waiting);
  }

  said(): { text: string; thinking?: string } {
    return { text: this.text, ...(this.thinking && { thinking: this.thinking }) };
  }

  counted(): Counted {
    return { promptTokens: 0, answerTokens: this.pieces, perSecond: this.perSecond(), reason: "" };
  }

  private perSecond(): number {
    const seconds = (performance.now() - this.began) / 1000;
    return this.pieces > 1 && seconds > 0 ? (this.pieces - 1) / seconds : 0;
  }
}

/** Tokens that the conversation took of the context, as far as its last answer tells. */
export function usedContext(conversation: Conversation): number {
  const last = path(conversation).findLast((message) => message.counted?.promptTokens);
  return last?.counted ? last.counted.promptTokens + last.counted.answerTokens : 0;
}
