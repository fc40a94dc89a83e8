// The reader's language: the one that was set, else the browser's.
import { computed, effect } from "@preact/signals";
import type { Trouble } from "../engines/engine.ts";
import { settings } from "../state/settings.ts";
import { en, type Word } from "./en.ts";
import { zh } from "./zh.ts";

export const language = computed<"en" | "zh">(
  () => settings.value.language || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"),
);

export function say(word: Word, facts: Record<string, string | number> = {}): string {
  const template = (language.value === "zh" ? zh : en)[word];
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => String(facts[name] ?? whole));
}

export function sayTrouble({ kind, detail }: Pick<Trouble, "kind" | "detail">): string {
  const word = `trouble.${kind}`;
  const known = word in en ? say(word as Word) : say("trouble.unknown");
  return detail ? `${known} ${detail}` : known;
}

export function number(value: number, digits = 0): string {
  return value.toLocaleString(language.value, { maximumFractionDigits: digits });
}

/** A size in bytes, in powers of 1000. */
export function size(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0;
  let left = bytes;
  for (; left >= 1000 && at < units.length - 1; at++) left /= 1000;
  return `${number(left, left < 10 && at > 1 ? 1 : 0)} ${units[at]}`;
}

effect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
});
