/**
 * Between a rule's functions and its component: used by what `seawall rule build` writes, and by
 * nobody else. A value that does not fit ends the call, and `on_failure` counts.
 */

import { Address, bytes, Headers, text } from "./index.js";

/** What an argument becomes. */
export const taken = {
  bool: (value) => value,
  int: (value) => whole(value, "an int argument"),
  string: text,
  ip: (value) => new Address(value),
  headers: (value) => Headers.unpack(value),
};

/** What an answer becomes. */
export const given = {
  bool(value) {
    if (typeof value === "boolean") return value;
    throw new TypeError(`a bool was to be answered, not ${shown(value)}`);
  },
  int(value) {
    if (typeof value === "bigint") return whole(Number(value), "an int answer");
    if (typeof value === "number") return whole(value, "an int answer");
    throw new TypeError(`an int was to be answered, not ${shown(value)}`);
  },
  string(value) {
    if (typeof value === "string") return bytes(value);
    if (value instanceof Uint8Array) return value;
    throw new TypeError(`a string was to be answered, not ${shown(value)}`);
  },
};

/** A number holds whole numbers to 2^53 exactly; one beyond has been rounded already. */
function whole(value, what) {
  if (Number.isSafeInteger(value)) return value;
  throw new RangeError(`${what} is a whole number within 2^53, not ${value}`);
}

function shown(value) {
  return value === null ? "null" : typeof value;
}
