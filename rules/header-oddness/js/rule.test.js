import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "../../../rule-sdk/js/index.js";
import { headerOddness } from "./rule.js";

const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";

test("a tool in a browser's clothes is odd, and what claims nothing is not judged", () => {
  const bare = new Headers([["host", "a.example"], ["user-agent", FIREFOX]]);
  assert.equal(headerOddness(FIREFOX, bare), 100);
  assert.equal(headerOddness("curl/8.5.0", bare), 0);
});

test("what a visitor makes long is not read", () => {
  const long = `Mozilla/5.0 (${"x".repeat(300)}) Chrome/126.0`;
  assert.equal(headerOddness(long, new Headers()), 0);
});
