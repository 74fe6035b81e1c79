// An ordinary function has an ordinary test: `node --test`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { templateRule } from "./rule.js";
import { Headers } from "./sdk/index.js";

test("what is missing is counted", () => {
  const all = new Headers([["host", "a.example"], ["accept", "*/*"]]);
  assert.equal(templateRule("Mozilla/5.0", all), 2);
  assert.equal(templateRule("curl/8.5.0", all), 0);
});
