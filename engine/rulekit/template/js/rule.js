// Counts the fields that every browser sends and that this request lacks, for a claimed browser.
//
// A rule only computes; the policy counts and acts. A rule sees only its arguments and keeps no state
// between calls: no mutable variable outside a function, no clock, no random numbers, no files.

/** @import { Headers } from "./sdk/index.js" */

/** Every browser sends these with every request. */
const EXPECTED = ["accept", "accept-encoding", "accept-language"];

/**
 * Returns 0 (nothing is missing) to 3. Returns 0 if the User-Agent claims no browser.
 *
 * rule.toml declares the types: `bool` is a boolean, `int` a whole number within 2^53,
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
