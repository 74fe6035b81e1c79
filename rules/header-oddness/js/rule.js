// How unusual the headers are for the browser in the User-Agent, in points from 0 to 100. The same as
// ../rust, line for line; ../README.md describes what it detects and its limitations.

/** @import { Headers } from "../../../rule-sdk/js/index.js" */

/** Points for missing or contradictory fields. A policy should act from 50 on. */
const POINTS = {
  noAccept: 35,
  noAcceptLanguage: 30,
  noAcceptEncoding: 30,
  noFetchMetadata: 15,
  noClientHints: 15,
  foreignClientHints: 40,
  otherVersion: 40,
  twice: 40,
  fewFields: 25,
  contradiction: 40,
};

/** Fewest fields of any browser: host, user-agent, accept, accept-language, accept-encoding. */
const FIELDS_MIN = 5;

/** Most characters of a text that are read, to limit the cost of the rule. */
const READ_BYTES_MAX = 256;

/** Versions from which browsers send `sec-fetch-*`. */
const FETCH_METADATA_FROM = { chromium: 80, firefox: 90, safari: 17 };

/** Names of declared machines, also beside the name of a browser. */
const HONEST_MACHINES = ["bot", "Bot", "spider", "crawl", "+http"];

/** Destinations of frames, which are navigations too. */
const FRAMES = ["iframe", "frame", "object", "embed", "fencedframe"];

/**
 * Returns how unusual the headers are, from 0 (normal) to 100.
 * @param {string} ua
 * @param {Headers} all
 * @returns {number}
 */
export function headerOddness(ua, all) {
  const browser = claimed(ua);
  if (browser === undefined) return 0;
  const seen = look(all);
  let points = 0;
  if (!seen.accept && !seen.websocket) points += POINTS.noAccept;
  if (!seen.language) points += POINTS.noAcceptLanguage;
  if (!seen.encoding) points += POINTS.noAcceptEncoding;
  if (seen.fields < FIELDS_MIN) points += POINTS.fewFields;
  if (seen.twice) points += POINTS.twice;
  if (lacksFetchMetadata(browser, seen)) points += POINTS.noFetchMetadata;
  if (contradictsItself(seen)) points += POINTS.contradiction;
  return Math.min(points + hintPoints(browser, seen), 100);
}

/** The result of one pass over the fields. */
function look(all) {
  const seen = { fields: 0, accept: false, language: false, encoding: false, twice: false };
  let [hosts, agents] = [0, 0];
  for (const [name, value] of all) {
    seen.fields += 1;
    switch (name) {
      case "accept": seen.accept = true; break;
      case "accept-language":
        seen.twice ||= seen.language;
        seen.language = value !== "";
        break;
      case "accept-encoding": seen.encoding = true; break;
      case "sec-ch-ua": seen.hints = value; break;
      case "sec-fetch-site": seen.site = value; break;
      case "sec-fetch-mode": seen.mode = value; break;
      case "sec-fetch-dest": seen.dest = value; break;
      case "upgrade": seen.websocket = value.toLowerCase() === "websocket"; break;
      case "host": hosts += 1; break;
      case "user-agent": agents += 1; break;
    }
  }
  seen.twice ||= hosts > 1 || agents > 1;
  return seen;
}

/** Returns whether the metadata contradict each other: only a navigation requests a page. */
function contradictsItself({ mode, dest }) {
  if (mode === undefined || dest === undefined) return false;
  return (dest === "document") !== (mode === "navigate") && !FRAMES.includes(dest);
}

/** Returns whether fetch metadata are missing or incomplete; the three fields come together. */
function lacksFetchMetadata(browser, seen) {
  const some = [seen.site, seen.mode, seen.dest].includes(undefined);
  return browser.version >= FETCH_METADATA_FROM[browser.kind] && !seen.websocket && some;
}

function hintPoints({ kind, version }, { hints, websocket }) {
  if (kind !== "chromium") return hints === undefined ? 0 : POINTS.foreignClientHints;
  if (hints === undefined) return version >= 89 && !websocket ? POINTS.noClientHints : 0;
  return namesVersion(hints, version) ? 0 : POINTS.otherVersion;
}

/** Returns whether one of the brands in `sec-ch-ua` has this major version, as `"Chromium";v="126"`. */
function namesVersion(hints, version) {
  const brands = hints.slice(0, READ_BYTES_MAX).split(';v="').slice(1);
  return brands.some((brand) => leadingNumber(brand) === version);
}

/**
 * Returns the browser in a User-Agent. The order matters: Chromium also contains `Safari`, and on iOS
 * every browser uses Safari's engine. `Safari` without its version is a web view of an app.
 */
function claimed(text) {
  const ua = text.slice(0, READ_BYTES_MAX);
  if (!ua.startsWith("Mozilla/5.0 (")) return undefined;
  if (HONEST_MACHINES.some((mark) => ua.includes(mark))) return undefined;
  for (const [mark, kind] of [["Chrome/", "chromium"], ["Firefox/", "firefox"]]) {
    const version = versionAfter(ua, mark);
    if (version !== undefined) return { kind, version };
  }
  if (!ua.includes("Safari/")) return undefined;
  const version = versionAfter(ua, "Version/");
  return version === undefined ? undefined : { kind: "safari", version };
}

/** Returns the number after the first `mark`. */
function versionAfter(text, mark) {
  const at = text.indexOf(mark);
  return at < 0 ? undefined : leadingNumber(text.slice(at + mark.length));
}

function leadingNumber(text) {
  const digits = /^[0-9]{1,6}/.exec(text)?.[0];
  return digits === undefined ? undefined : Number(digits);
}
