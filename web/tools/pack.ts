// The last step of a build: the engine's wasm is put beside the page, every file is compressed once and for all, and
// `built.json` lists them for the server, for the service worker and for the check that they are what the sources make.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const SOURCES = ["public", "src", "index.html", "package-lock.json", "package.json", "tools", "tsconfig.json", "vite.config.ts"];
/** Shell, without wasm and the code around it: what a first visit waits for and what is promised to be small. */
const MOST_SHELL_BYTES = 250_000;

/** What the page may do (https://www.w3.org/TR/CSP3): nothing inline, nothing from elsewhere. wasm-unsafe-eval lets it
 * compile wasm, blob: is where the engine's threads come from. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self' blob:",
  "worker-src 'self' blob:",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const TYPES: Record<string, string> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  png: "image/png",
  svg: "image/svg+xml",
  wasm: "application/wasm",
  webmanifest: "application/manifest+json",
};

interface Listed {
  type: string;
  bytes: number;
  sha256: string;
  gzip: number;
  /** Its name changes with its content, so that a browser may keep it for ever. */
  immutable: boolean;
  /** Whether a first visit needs it. */
  shell: boolean;
}

export function pack(): Plugin {
  let out = "";
  return {
    name: "penjing-pack",
    apply: "build",
    configResolved(config) {
      out = join(config.root, config.build.outDir);
      if (config.build.outDir.startsWith("/")) out = config.build.outDir;
    },
    transformIndexHtml() {
      return [{ tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" }];
    },
    closeBundle() {
      addWasm(out);
      nameShell(out);
      const files = compress(out);
      const shell = Object.values(files).filter((file) => file.shell).reduce((sum, file) => sum + file.gzip, 0);
      const built = { source: sourceDigest(), policy: POLICY, shell_gzip_bytes: shell, files };
      writeFileSync(join(out, "built.json"), JSON.stringify(built, null, 1) + "\n");
      console.log(`shell: ${shell} bytes gzipped of at most ${MOST_SHELL_BYTES}`);
      if (shell > MOST_SHELL_BYTES) throw new Error("The shell is too large for a first visit.");
    },
  };
}

/** The version of wllama, which both builds of its engine carry in their names. */
export function engineVersion(): string {
  const path = createRequire(import.meta.url).resolve("@wllama/wllama/package.json");
  return (JSON.parse(readFileSync(path, "utf-8")) as { version: string }).version;
}

/** Tell the service worker what the shell is. Its own text does not count: it is no part of what it keeps. */
function nameShell(out: string): void {
  const kept = walk(out).filter((path) => !relative(out, path).startsWith("wasm") && !path.endsWith("sw.js"));
  const hash = createHash("sha256");
  for (const path of kept) hash.update(relative(out, path)).update(readFileSync(path));
  const files = kept.map((path) => relative(out, path).split(sep).join("/"));
  const shell = JSON.stringify({ version: hash.digest("hex").slice(0, 12), policy: POLICY, files });
  const worker = join(out, "sw.js");
  writeFileSync(worker, readFileSync(worker, "utf-8").replaceAll("__SHELL__", `(${shell})`));
}

/** Both builds of llama.cpp, under names that change with their version. */
function addWasm(out: string): void {
  const require = createRequire(import.meta.url);
  const whole = dirname(require.resolve("@wllama/wllama/package.json"));
  const compat = dirname(require.resolve("@wllama/wllama-compat/package.json"));
  const version = engineVersion();
  mkdirSync(join(out, "wasm"), { recursive: true });
  const copied: [string, string][] = [
    [join(whole, "esm/wasm/wllama.wasm"), `llama-${version}.wasm`],
    [join(compat, "wasm/wllama.wasm"), `compat-${version}.wasm`],
    [join(compat, "wasm/wllama.js"), `compat-${version}.js`],
  ];
  for (const [from, to] of copied) writeFileSync(join(out, "wasm", to), readFileSync(from));
}

/** Replace every file by what is sent of it: `NAME.gz`, and `NAME.br` of the shell. */
function compress(out: string): Record<string, Listed> {
  const files: Record<string, Listed> = {};
  for (const path of walk(out)) {
    const name = relative(out, path).split(sep).join("/");
    const data = readFileSync(path);
    const gzip = gzipSync(data, { level: 9 });
    const wasm = name.startsWith("wasm/");
    files[name] = {
      type: TYPES[name.split(".").pop() ?? ""] ?? "application/octet-stream",
      bytes: data.length,
      sha256: createHash("sha256").update(data).digest("hex"),
      gzip: gzip.length,
      immutable: wasm || name.startsWith("assets/"),
      shell: !wasm && !name.startsWith("assets/wllama-"),
    };
    writeFileSync(path + ".gz", gzip);
    // Browsers take brotli over HTTPS only; for wasm it would save a fifth and cost the package as much again.
    if (!wasm) writeFileSync(path + ".br", brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
    rmSync(path);
  }
  return files;
}

function walk(folder: string): string[] {
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? walk(path) : [path]));
}

/** SHA-256 over the names and digests of all sources: tests/export/test_page.py computes the same without node. */
export function sourceDigest(): string {
  const hash = createHash("sha256");
  const paths = SOURCES.flatMap((name) => (statSync(join(ROOT, name)).isDirectory() ? walk(join(ROOT, name)) : [join(ROOT, name)]));
  const named = paths.map((path) => [relative(ROOT, path).split(sep).join("/"), path] as const);
  for (const [name, path] of named.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    hash.update(`${name}\n${createHash("sha256").update(readFileSync(path)).digest("hex")}\n`);
  }
  return hash.digest("hex");
}
