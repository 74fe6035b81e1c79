//! The weight of each sign. The README has the same table with the source of each; a test compares
//! both.
//!
//! A policy can act from 60 on. An impossible sign has about 40 points, so that two of them are
//! sufficient. A rare sign has fewer. Age alone stays below 60 unless the browser does not support
//! TLS 1.2.

/// No User-Agent.
pub(crate) const ABSENT: i64 = 40;
/// The name of an HTTP library or a command-line tool.
pub(crate) const LIBRARY: i64 = 45;
/// `Mozilla/5.0` without a platform.
pub(crate) const NO_PLATFORM: i64 = 45;

/// A browser from before TLS 1.2: Chrome below 30, Firefox below 27, Internet Explorer below 11,
/// Safari below 7, Opera before Chromium, `Mozilla/4` and earlier, Gecko's `rv:1`, phones with
/// keys.
pub(crate) const BEFORE_TLS12: i64 = 60;
/// Chrome below 70, Firefox below 68, Safari below 11, Internet Explorer 11.
pub(crate) const OLD_BROWSER: i64 = 35;
/// Chrome below 100, Firefox below 102, Safari below 14.
pub(crate) const AGED_BROWSER: i64 = 15;
/// Windows before 7, Mac OS X before 10.9, Android below 5, iOS below 10.
pub(crate) const OLD_SYSTEM: i64 = 20;
/// Windows 7 to 8.1, Android 5 and 6, iOS 10 to 12.
pub(crate) const AGED_SYSTEM: i64 = 5;
/// Most points for age, if the browser supports TLS 1.2: old machines exist.
pub(crate) const AGE_MAX: i64 = 55;

/// A version that will not exist for years.
pub(crate) const FROM_THE_FUTURE: i64 = 45;
/// A system that no browser sends: Windows NT 11, or a Mac OS X after 10.15 from a browser that
/// froze it.
pub(crate) const NO_SUCH_SYSTEM: i64 = 40;
/// A browser that does not run on this system.
pub(crate) const CANNOT_RUN: i64 = 40;
/// Two systems, or a phone and a desktop.
pub(crate) const TWO_SYSTEMS: i64 = 45;
/// Two browsers.
pub(crate) const TWO_BROWSERS: i64 = 45;
/// A part that the browser always sends is missing.
pub(crate) const PART_MISSING: i64 = 40;
/// Engine and browser do not match.
pub(crate) const OTHER_ENGINE: i64 = 40;
/// `rv:` of another version than Firefox.
pub(crate) const OTHER_REVISION: i64 = 40;
/// Build numbers, which Chrome no longer sends.
pub(crate) const BUILD_NUMBERS: i64 = 10;
/// The same product or part twice.
pub(crate) const TWICE: i64 = 35;
/// A random product name.
pub(crate) const BY_CHANCE: i64 = 35;

/// A template without its values, such as `{ua}`, `%s` or `${browser}`.
pub(crate) const TEMPLATE: i64 = 60;
/// Quotes or line ends around it, or bytes that are not text.
pub(crate) const DIRT: i64 = 35;
/// Unbalanced parentheses.
pub(crate) const PARENTHESES: i64 = 30;

/// Client Hints name another system.
pub(crate) const HINTS_SYSTEM: i64 = 45;
/// Client Hints and agent differ in phone or desktop.
pub(crate) const HINTS_MOBILE: i64 = 40;
/// Client Hints name another version, or the browser has no Client Hints.
pub(crate) const HINTS_BROWSER: i64 = 35;
/// A field that browsers of this age no longer send (`accept-charset`, `keep-alive`).
pub(crate) const FORGOTTEN_FIELD: i64 = 30;
/// The header field differs from the argument, or occurs twice.
pub(crate) const TWO_AGENTS: i64 = 40;
