import assert from "node:assert/strict";
import { test } from "node:test";
import { given, taken } from "./glue.js";
import { Address, bytes, Headers, text, utf8 } from "./index.js";

/** The example of docs/rule-abi.md: `host: a.example` and an empty `te`. */
const PACKED = Uint8Array.from(
  "040009000000686f7374612e6578616d706c650200000000007465".match(/../g),
  (pair) => Number.parseInt(pair, 16),
);

test("headers are read as the contract writes them", () => {
  const all = Headers.unpack(PACKED);
  assert.deepEqual([...all], [["host", "a.example"], ["te", ""]]);
  assert.equal(all.length, 2);
  assert.equal(all.get("host"), "a.example");
  assert.equal(all.get("Host"), undefined);
  assert.ok(all.has("te") && !all.has("x"));
  assert.equal(Headers.unpack(new Uint8Array()).length, 0);
});

test("headers that are cut off are none", () => {
  for (let length = 1; length < PACKED.length; length += 1) {
    if (length === 19) continue; // Between the two fields.
    assert.throws(() => Headers.unpack(PACKED.subarray(0, length)).length, RangeError, `${length} bytes`);
  }
  const wide = new Uint8Array([0, 0, 255, 255, 255, 255]);
  assert.throws(() => Headers.unpack(wide).has("a"), RangeError);
});

test("a field that came twice is there twice", () => {
  const all = new Headers([["a", "1"], ["b", "2"], ["a", "3"]]);
  assert.deepEqual(all.getAll("a"), ["1", "3"]);
  assert.equal(all.get("a"), "1");
});

test("a text keeps every byte", () => {
  const every = Uint8Array.from({ length: 5000 }, (_, at) => at & 0xff);
  assert.deepEqual(bytes(text(every)), every);
  assert.equal(text(new Uint8Array()), "");
  assert.throws(() => bytes("\u{20ac}"), /utf8\.encode/);
});

test("characters and bytes are the same text", () => {
  for (const characters of ["", "ascii", "\u{e4}\u{20ac}\u{1f600}", "\u{7ff}\u{800}\u{ffff}\u{10ffff}"]) {
    const encoded = utf8.encode(characters);
    assert.deepEqual(bytes(encoded), new Uint8Array(Buffer.from(characters)));
    assert.equal(utf8.decode(encoded), characters);
  }
  for (const broken of ["\xff", "\xc3", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80", "a\x80b"]) {
    const meant = new TextDecoder().decode(bytes(broken));
    assert.ok(utf8.decode(broken).includes("\u{fffd}"), meant);
  }
});

test("addresses know their networks", () => {
  const four = new Address(new Uint8Array([192, 0, 2, 200]));
  assert.equal(`${four} ${four.version}`, "192.0.2.200 4");
  assert.ok(four.isIn([192, 0, 2, 128], 25) && !four.isIn([192, 0, 2, 0], 25));
  assert.ok(four.isIn([10, 0, 0, 0], 0) && !four.isIn(new Uint8Array(16), 0));
  const six = new Address(new Uint8Array([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
  assert.equal(`${six} ${six.version}`, "2001:db8:0:0:0:0:0:1 6");
  assert.throws(() => new Address(new Uint8Array(5)), RangeError);
});

test("an answer of another kind is refused", () => {
  assert.equal(given.int(7n), 7);
  assert.equal(given.int(-(2 ** 53 - 1)), -(2 ** 53 - 1));
  for (const wrong of [NaN, 1.5, Infinity, 2 ** 53, 2n ** 53n, "1", null, undefined, true]) {
    assert.throws(() => given.int(wrong), /int/, String(wrong));
  }
  assert.throws(() => given.bool(1), TypeError);
  assert.throws(() => given.string(1), TypeError);
  assert.deepEqual(given.string("a\xff"), new Uint8Array([97, 255]));
  assert.equal(taken.int(5), 5);
  assert.throws(() => taken.int(2 ** 53), RangeError);
});

test("chance and the clock are gone", async () => {
  const [date, random] = [Date, Math.random];
  try {
    await import("./guard.js");
    for (const asks of [() => Math.random(), () => Date.now(), () => new Date(), () => Date()]) {
      assert.throws(asks, /a rule has no (chance|clock)/);
    }
    assert.throws(() => new (new Date(0).constructor)(), /no clock/);
    assert.equal(Date.parse("1970-01-01T00:00:01Z"), 1000);
    assert.equal(new Date(5).getTime(), 5);
  } finally {
    Object.assign(globalThis, { Date: date });
    date.prototype.constructor = date;
    Math.random = random;
  }
});
