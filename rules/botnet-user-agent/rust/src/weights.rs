//! What each sign weighs. The README has the same table with where each comes from; a test holds
//! the two together.
//!
//! From 60 on a policy may act. So what no browser ever says is worth 40 or so, and two of them
//! suffice; what few still say is worth less; age alone stays below 60 unless the browser could not
//! even speak TLS 1.2.

/// No User-Agent at all.
pub(crate) const ABSENT: i64 = 40;
/// The words of an HTTP library or a command-line tool.
pub(crate) const LIBRARY: i64 = 45;
/// `Mozilla/5.0` and nothing about the machine it runs on.
pub(crate) const NO_PLATFORM: i64 = 45;

/// A browser from before TLS 1.2: Chrome below 30, Firefox below 27, Internet Explorer below 11,
/// Safari below 7, Opera before Chromium, `Mozilla/4` and earlier, Gecko's `rv:1`, phones with keys.
pub(crate) const BEFORE_TLS12: i64 = 60;
/// Chrome below 70, Firefox below 68, Safari below 11, Internet Explorer 11.
pub(crate) const OLD_BROWSER: i64 = 35;
/// Chrome below 100, Firefox below 102, Safari below 14.
pub(crate) const AGED_BROWSER: i64 = 15;
/// Windows before 7, Mac OS X before 10.9, Android below 5, iOS below 10.
pub(crate) const OLD_SYSTEM: i64 = 20;
/// Windows 7 to 8.1, Android 5 and 6, iOS 10 to 12.
pub(crate) const AGED_SYSTEM: i64 = 5;
/// Age together, where the browser knows TLS 1.2: old machines exist.
pub(crate) const AGE_MAX: i64 = 55;

/// A version that will not be reached for years.
pub(crate) const FROM_THE_FUTURE: i64 = 45;
/// A system that says something no browser says of it: Windows NT 11, a Mac OS X after 10.15 from
/// a browser that froze it.
pub(crate) const NO_SUCH_SYSTEM: i64 = 40;
/// A browser that does not run on this system.
pub(crate) const CANNOT_RUN: i64 = 40;
/// Two systems, or a phone and a desktop at once.
pub(crate) const TWO_SYSTEMS: i64 = 45;
/// Two browsers at once.
pub(crate) const TWO_BROWSERS: i64 = 45;
/// A part that the browser always sends is missing.
pub(crate) const PART_MISSING: i64 = 40;
/// Engine and browser do not belong together.
pub(crate) const OTHER_ENGINE: i64 = 40;
/// `rv:` of another version than Firefox.
pub(crate) const OTHER_REVISION: i64 = 40;
/// The build numbers that Chrome stopped sending.
pub(crate) const BUILD_NUMBERS: i64 = 10;
/// The same product or part twice.
pub(crate) const TWICE: i64 = 35;
/// A product's name of letters or digits by chance.
pub(crate) const BY_CHANCE: i64 = 35;

/// A pattern that was not filled in, such as `{ua}`, `%s` or `${browser}`.
pub(crate) const TEMPLATE: i64 = 60;
/// Quotes or line ends around it, or bytes that are no text.
pub(crate) const DIRT: i64 = 35;
/// Parentheses that do not match.
pub(crate) const PARENTHESES: i64 = 30;

/// Client Hints name another system.
pub(crate) const HINTS_SYSTEM: i64 = 45;
/// Client Hints say phone where the agent says desktop, or the reverse.
pub(crate) const HINTS_MOBILE: i64 = 40;
/// Client Hints name another version, or come from a browser that has none.
pub(crate) const HINTS_BROWSER: i64 = 35;
/// A field that browsers of this age no longer send (`accept-charset`, `keep-alive`).
pub(crate) const FORGOTTEN_FIELD: i64 = 30;
/// The field is another one than the agent that was handed in, or there are two.
pub(crate) const TWO_AGENTS: i64 = 40;
