/**
 * Converts values between a rule's functions and its component. Only the code that `seawall rule build`
 * generates uses it. A value of a wrong type ends the call, and `on_failure` applies.
 */

import { Address, bytes, Headers, text } from "./index.js";

/** Converts an argument. */
export const taken = {
  bool: (value) => value,
  int: (value) => whole(value, "an int argument"),
  string: text,
  ip: (value) => new Address(value),
  headers: (value) => Headers.unpack(value),
};

/** Converts a result. */
export const given = {
  bool(value) {
    if (typeof value === "boolean") return value;
    throw new TypeError(`the result must be a bool, not ${shown(value)}`);
  },
  int(value) {
    if (typeof value === "bigint") return whole(Number(value), "an int answer");
    if (typeof value === "number") return whole(value, "an int answer");
    throw new TypeError(`the result must be an int, not ${shown(value)}`);
  },
  string(value) {
    if (typeof value === "string") return bytes(value);
    if (value instanceof Uint8Array) return value;
    throw new TypeError(`the result must be a string, not ${shown(value)}`);
  },
};

/** A number is exact for whole numbers up to 2^53; larger ones are already rounded. */
function whole(value, what) {
  if (Number.isSafeInteger(value)) return value;
  throw new RangeError(`${what} must be a whole number within 2^53, not ${value}`);
}

function shown(value) {
  return value === null ? "null" : typeof value;
}
