// Where a message is written: grows with its text, Enter sends, Shift+Enter begins a line. Also edits an old message.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { picture } from "../look/picture.ts";
import * as chat from "../state/chat.ts";
import { chosen } from "../state/models.ts";
import { tell } from "../state/notes.ts";
import { set, settings } from "../state/settings.ts";
import { say } from "../words/say.ts";
import { Icon, IconButton } from "./icon.tsx";
import { Pictures } from "./message.tsx";

interface Props {
  begin?: string;
  send: (text: string, images: string[]) => void;
  /** Given where an old message is edited. */
  cancel?: () => void;
}

export function Writer({ begin = "", send, cancel }: Props) {
  const [text, setText] = useState(begin);
  const [images, setImages] = useState<string[]>([]);
  const area = useRef<HTMLTextAreaElement>(null);
  const model = chosen.value;
  const busy = !cancel && !!chat.writing.value;
  const some = text.trim() !== "" || images.length > 0;
  const able = !busy && !!model?.ready && some;
  // Enter while the server is still being asked what it has: the message goes as soon as a model can answer.
  const [waits, setWaits] = useState(false);
  useGrowing(area, text);
  useLayoutEffect(() => {
    if (cancel && area.current) area.current.focus();
  }, []);

  const go = () => {
    setWaits(!busy && some && !able);
    if (!able) return;
    send(text.trim(), images);
    setText("");
    setImages([]);
  };
  useEffect(() => {
    if (waits && able) go();
  }, [waits, able]);
  const keyed = (event: KeyboardEvent) => {
    if (event.key === "Escape" && cancel) cancel();
    // isComposing: the Enter that chooses a word of an input method is not for us
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (matchMedia("(pointer: coarse)").matches && !event.ctrlKey) return; // on a phone Enter begins a line
    event.preventDefault();
    go();
  };
  const add = (files: Iterable<File>) => {
    for (const file of files) picture(file).then((url) => setImages((all) => [...all, url]), tell);
  };
  const pasted = (event: ClipboardEvent) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (!files.length || !model?.sees) return;
    event.preventDefault();
    add(files);
  };
  const dropped = (event: DragEvent) => {
    const files = [...(event.dataTransfer?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    if (!files.length || cancel || !model?.sees) return;
    event.preventDefault();
    add(files);
  };
  return (
    <form
      class={cancel ? "writer" : "writer main"}
      onDrop={dropped}
      onSubmit={(event) => {
        event.preventDefault();
        go();
      }}
    >
      {images.length > 0 && <Pictures images={images} remove={(at) => setImages(images.filter((_, index) => index !== at))} />}
      <textarea
        id={cancel ? undefined : "write"}
        ref={area}
        rows={1}
        value={text}
        aria-label={say(cancel ? "message.edit" : "write.label")}
        placeholder={cancel ? "" : placeholder(model)}
        enterkeyhint="enter"
        onInput={(event) => {
          setText(event.currentTarget.value);
          setWaits(false);
        }}
        onKeyDown={keyed}
        onPaste={pasted}
      />
      <div class="writer-row">
        {!cancel && model?.sees && <PictureButton add={add} />}
        {!cancel && model?.thinks && <ThinkButton />}
        <span class="space">{waits && !able && say("write.waiting")}</span>
        {cancel && (
          <button type="button" class="button quiet" onClick={cancel}>
            {say("message.cancel")}
          </button>
        )}
        {busy ? (
          <IconButton icon="stop" kind="primary" label={say("write.stop")} onClick={chat.stop} />
        ) : (
          <button type="submit" class="icon-button primary" aria-label={say("write.send")} title={say("write.send")} disabled={!able}>
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  );
}

function placeholder(model: typeof chosen.value): string {
  if (model && !model.ready) return say("write.waiting");
  return say("write.placeholder", { model: model?.name ?? "penjing" });
}

function ThinkButton() {
  const { thinking } = settings.value;
  return (
    <button type="button" class="chip" aria-pressed={thinking} onClick={() => set({ thinking: !thinking })}>
      <Icon name="bulb" />
      {say("write.think")}
    </button>
  );
}

function PictureButton({ add }: { add: (files: Iterable<File>) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        accept="image/*"
        multiple
        hidden
        onChange={(event) => {
          add([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = "";
        }}
      />
      <IconButton icon="picture" label={say("write.picture")} onClick={() => input.current?.click()} />
    </>
  );
}

function useGrowing(area: { current: HTMLTextAreaElement | null }, text: string): void {
  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);
}
