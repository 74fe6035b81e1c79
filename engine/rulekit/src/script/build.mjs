// Written by `seawall rule build`, and run by it in the rule's folder.
//
// Bundles the rule with its imports to one file, and builds a component from it. Errors name the rule's
// own files: those of the bundler directly, those of the runtime through the source map.

import { SourceMap } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { componentize } from "componentize-qjs";
import { build } from "esbuild";

const bundled = await build({
  entryPoints: ["target/entry.js"],
  bundle: true,
  format: "esm",
  platform: "neutral",
  mainFields: ["module", "main"],
  target: "es2023",
  outfile: "target/bundle.js",
  sourcemap: "external",
  legalComments: "none",
  logLevel: "warning",
}).catch(() => process.exit(1));
if (bundled.errors.length > 0) process.exit(1);

/** Returns `bundle.js:LINE:COLUMN` as a position in the rule. */
function place(whole, line, column) {
  const map = new SourceMap(JSON.parse(readFileSync("target/bundle.js.map", "utf8")));
  const found = map.findEntry(Number(line) - 1, Number(column) - 1);
  if (found.originalSource === undefined) return whole;
  const file = found.originalSource.replace(/^\.\.\//, "");
  return `${file}:${found.originalLine + 1}:${found.originalColumn + 1}`;
}

try {
  const { component } = await componentize({
    witPath: "target/wit",
    world: "seawall-built",
    jsSource: readFileSync("target/bundle.js", "utf8"),
    stubWasi: true,
    sync: true,
  });
  writeFileSync("target/raw.wasm", component);
} catch (error) {
  const said = String(error?.message ?? error);
  console.error(said.replace(/componentize-qjs:user\.js:(\d+):(\d+)/g, place));
  process.exit(1);
}
