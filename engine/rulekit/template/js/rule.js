// How many of the fields that every browser sends are missing where a browser is claimed.
//
// A rule computes, and the policy counts and acts. It sees only what it is given, and keeps nothing
// between calls: no variable that changes outside a function, no clock, no chance, no files.

/** @import { Headers } from "./sdk/index.js" */

/** Every browser sends these with every request. */
const EXPECTED = ["accept", "accept-encoding", "accept-language"];

/**
 * From 0, nothing is missing, to 3. Who does not claim to be a browser is not judged.
 *
 * What it takes and answers, rule.toml says: `bool` is a boolean, `int` a whole number within 2^53,
 * `string` a string with one character for each byte, `ip` an Address, `headers` are Headers.
 *
 * @param {string} ua
 * @param {Headers} all
 * @returns {number}
 */
export function templateRule(ua, all) {
  if (!ua.startsWith("Mozilla/")) return 0;
  return EXPECTED.filter((name) => !all.has(name)).length;
}
