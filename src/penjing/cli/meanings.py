"""What settings mean that are no options of a verb, a sentence each, for the page of all settings."""

from __future__ import annotations

POLICIES: dict[str, dict[str, str]] = {
    "audit": {
        "enabled": "Keep a log of requests; where not said, as soon as an engine is elsewhere.",
        "folder": "Where the log is; in penjing's home where not given.",
        "content": "What is kept of questions and answers.",
        "sync": "When records are on disk for certain.",
        "when_full": "What happens to requests while the log cannot be written.",
        "most_bytes": "After so many a new file begins.",
        "most_seconds": "After so many a new file begins.",
        "keep": "How many files stay; 0 for all.",
    },
    "feedback": {
        "remember": "Of how many answers, the last ones, a person may say what they think; 0 switches it off.",
    },
    "canary": {
        "to": "The engine that is tried.",
        "of": "Whose conversations; those that name no model where not given.",
        "share": "How many of the conversations, from 0 to 1.",
        "seconds": "How long it may take to begin before the stable one answers; 0 for ever.",
    },
    "route": {
        "rules": "Tables [[route.rules]]; the first that fits wins.",
        "fallback": "Engines tried after the one chosen.",
        "local_only": "Nothing leaves, whatever rules say.",
        "stream_seconds": "How long an engine may take to begin a stream; 0 for ever.",
        "whole_seconds": "How long an engine may take for an answer that is not streamed; 0 for ever.",
        "failures": "After so many in a row an engine is left alone for a while.",
        "pause": "For so many seconds the first time.",
        "longest_pause": "And for so many at most.",
    },
    "cache": {
        "enabled": "Keep answers that could not have been others.",
        "most_bytes": "Of all answers together.",
        "most_seconds": "How old a kept answer may be.",
        "shared": "Give them to every API key.",
        "pinned": "Questions whose answers are kept in any case; * stands for anything.",
        "frequent": "A question asked so often is kept in any case; 0 for never.",
        "path": "Where they are; in penjing's home where not given.",
    },
    "admission": {
        "queue": "How many requests may wait for an engine; 0 switches the line off.",
        "max_wait": "How many seconds one may wait.",
        "lookahead": "How many requests an engine is handed beyond those it works on.",
    },
    "degrade": {
        "enabled": "Ask again for less where an engine runs out of memory.",
        "floor": "The fewest tokens of an answer that are asked for.",
        "least_context": "The smallest context an engine is started with again.",
        "smaller": "A model and the one that answers in its place.",
        "remember": "How many seconds later requests begin where one succeeded.",
        "patience": "How many seconds a request waits for its engine to be back.",
    },
    "context": {
        "mode": "What is done with a conversation that is too long.",
        "reserve": "Tokens kept free for an answer without a limit of its own.",
        "summary_tokens": "The longest summary of older turns.",
        "preset": "The prompt preset of requests that name none.",
        "presets": "More presets: tables [context.presets.NAME] with system, language, markdown.",
    },
}

OPERATE: dict[str, dict[str, str]] = {
    "upgrade": {
        "beside": "Whether the old and the new version are in memory together for a while; where they fit if auto.",
        "pinned": "System prompts that a new version reads before it is asked.",
        "warm": "So many of the latest conversations as well.",
        "warm_seconds": "How many seconds that may take.",
        "finish_seconds": "How many seconds the old version may take to finish its answers; 0 for ever.",
    },
    "hub": {
        "host": "The address to listen on.",
        "port": "The port to listen on (8800; 0: a free one).",
        "database": "sqlite:///FILE or postgresql://...; a file of penjing's folder where not given.",
        "blobs": "Where chunks are kept: a folder, or s3://BUCKET/PREFIX.",
        "private": "Who reads versions and chunks needs a key too.",
        "every": "How often devices ask (60).",
        "mirrors": "Where devices look for chunks before they ask the hub.",
        "log": "Write a line of JSON for each request there.",
        "url": "The hub that publishers and hub: names mean.",
        "key": "What lets this machine publish; where the hub runs it is in penjing's folder.",
    },
}
