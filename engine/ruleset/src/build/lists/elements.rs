//! The lines of a list file as elements, and reports about the other lines.

use std::net::IpAddr;

use hashbrown::HashSet;
use seawall_model::{AddrRange, Prefix, PrefixError};
use seawall_policy::check::empty_set;
use seawall_policy::schema::Type;
use seawall_policy::set::{NetSet, Set};
use seawall_policy::span::Span;

use super::element_kind::Kind;
use super::formats::{self, Entry, mask_len};
use super::line_error::Fault;
use super::lines::{LIST_LINE_BYTES_MAX, Line, content, no_list, unended};
use crate::http::SCHEMA;

/// Most lines of one list that are reported with positions, for each kind of report.
pub(super) const LINES_SHOWN_MAX: usize = 5;

/// The declaration of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) element: Type,
    pub(super) allows_wide: bool,
}

/// A report about a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Report {
    /// The line is not an element.
    Fault(Fault),
    /// The network is too wide.
    Wide(String),
    /// The network has bits behind its prefix, and becomes its single address.
    HostBits(Prefix, IpAddr),
}

impl Report {
    /// Returns the group of a report. Reports of one group are counted together.
    const fn group(&self) -> usize {
        match self {
            Self::Fault(_) => 0,
            Self::Wide(_) => 1,
            Self::HostBits(..) => 2,
        }
    }

    const fn is_skipped(&self) -> bool {
        !matches!(self, Self::HostBits(..))
    }
}

/// The last line of a file without a line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is used: the missing part could not make it narrower.
    Taken(Span),
    /// It is omitted: with the missing part it could be another element.
    LeftOut(Span),
    /// It contains no element.
    Empty(Span),
}

/// Elements of one type.
#[derive(Debug)]
enum Values {
    Nets(Vec<AddrRange>),
    Ints(Vec<i64>),
    Texts(Vec<Box<[u8]>>),
}

/// The content of a list file.
#[derive(Debug)]
pub(super) struct Elements {
    element: Type,
    values: Values,
    /// Why the file is not a list at all, and how to correct it.
    no_list: Option<(&'static str, &'static str)>,
    /// The first reports of each kind.
    pub(super) reports: Vec<(Span, Report)>,
    /// The number of lines of each kind.
    counts: [usize; 3],
    pub(super) cut: Option<Cut>,
    /// The number of skipped lines.
    pub(super) skipped: usize,
}

/// One element.
enum Element {
    Net(AddrRange),
    Int(i64),
    Text(Box<[u8]>),
}

/// An element with its report.
struct Got {
    element: Option<Element>,
    report: Option<Report>,
    /// Whether a missing end of the line could not make it another, wider element.
    is_sure: bool,
}

impl Elements {
    /// Parses a file.
    pub(super) fn read(bytes: &[u8], terms: Terms) -> Self {
        let kind = Kind::of(terms.element);
        let mut read = Self {
            element: terms.element,
            values: match kind {
                Kind::Nets => Values::Nets(Vec::new()),
                Kind::Asns | Kind::Words(_) => Values::Ints(Vec::new()),
                Kind::Texts => Values::Texts(Vec::new()),
            },
            no_list: no_list(bytes, kind),
            reports: Vec::new(),
            counts: [0; 3],
            cut: None,
            skipped: 0,
        };
        if read.no_list.is_some() {
            return read;
        }
        let mut heading = None;
        for line in content(bytes, kind) {
            read.line(line, (kind, terms.allows_wide), &mut heading);
        }
        // A heading without a table is an invalid line, such as the text of an error page.
        if let Some((span, fault)) = heading.filter(|_| read.len() == 0) {
            read.report(span, Report::Fault(fault));
        }
        if let Some((start, line)) = unended(bytes) {
            let span = Span::new(start, start.saturating_add(line.len()));
            read.cut.get_or_insert(Cut::Empty(span));
        }
        read
    }

    fn line(
        &mut self,
        line: Line<'_>,
        (kind, allows_wide): (Kind, bool),
        heading: &mut Option<(Span, Fault)>,
    ) {
        let span = Span::new(line.start, line.start.saturating_add(line.bytes.len()));
        let got = if line.bytes.len() > LIST_LINE_BYTES_MAX {
            Err(Fault::TooLong)
        } else {
            read_line(line.bytes, kind, allows_wide)
        };
        let is_cut = line.is_cut && !line.is_followed;
        match got {
            Ok(None) => {}
            Ok(Some(got)) if is_cut && !got.is_sure => {
                self.skipped = self.skipped.saturating_add(1);
                self.cut = Some(Cut::LeftOut(span));
            }
            Ok(Some(got)) => {
                if let Some(report) = got.report {
                    self.report(span, report);
                }
                let cut = if got.element.is_some() { Cut::Taken } else { Cut::LeftOut };
                self.cut = line.is_cut.then_some(cut(span));
                if let Some(element) = got.element {
                    self.push(element);
                }
            }
            Err(fault) if line.is_first && is_heading(line.bytes) => *heading = Some((span, fault)),
            // The report about the cut line also covers that the line is not an element.
            Err(_) if is_cut => {
                self.skipped = self.skipped.saturating_add(1);
                self.cut = Some(Cut::LeftOut(span));
            }
            Err(fault) => self.report(span, Report::Fault(fault)),
        }
    }

    fn push(&mut self, element: Element) {
        match (&mut self.values, element) {
            (Values::Nets(all), Element::Net(range)) => all.push(range),
            (Values::Ints(all), Element::Int(number)) => all.push(number),
            (Values::Texts(all), Element::Text(text)) => all.push(text),
            _ => {}
        }
    }

    fn report(&mut self, span: Span, report: Report) {
        if report.is_skipped() {
            self.skipped = self.skipped.saturating_add(1);
        }
        let Some(count) = self.counts.get_mut(report.group()) else { return };
        *count = count.saturating_add(1);
        if *count <= LINES_SHOWN_MAX {
            self.reports.push((span, report));
        }
    }

    /// Returns the number of lines with a report of this kind.
    pub(super) fn count(&self, of: &Report) -> usize {
        self.counts.get(of.group()).copied().unwrap_or(0)
    }

    /// Returns the number of elements, including those that others cover.
    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Nets(all) => all.len(),
            Values::Ints(all) => all.len(),
            Values::Texts(all) => all.len(),
        }
    }

    /// Returns why the lines are not a list, and the help: too many elements, or no element in a
    /// file with lines. An error page saved in place of the list must not empty the list.
    pub(super) fn fault(&self, what: &str, max: usize) -> Option<(String, Option<String>)> {
        if let Some((why, help)) = self.no_list {
            return Some((format!("{what} has no element: the file {why}"), Some(help.to_owned())));
        }
        if self.len() > max {
            let count = self.len();
            return Some((format!("{what} has {count} elements, more than `max` allows"), None));
        }
        if self.len() > 0 {
            return None;
        }
        let first = self.reports.iter().find(|(_, report)| report.is_skipped());
        match first {
            Some((_, Report::Fault(fault))) => {
                let why = fault.what();
                let why = format!("{what} has no element: its first line {why}");
                Some((why, fault.help().map(str::to_owned)))
            }
            Some((_, Report::Wide(entry))) => {
                let why = format!(
                    "{what} has no element: `{entry}` is wider than any network of one owner"
                );
                Some((
                    why,
                    Some("if this is intended, write `allow wide` after the list".to_owned()),
                ))
            }
            _ if self.cut.is_some() => Some((
                format!("{what} has no element and ends within a line"),
                Some(
                    "the download may be incomplete; add a line end after the last line".to_owned(),
                ),
            )),
            _ => None,
        }
    }

    /// Returns the elements as a set.
    pub(super) fn set(self) -> Set {
        match self.values {
            _ if self.len() == 0 => empty_set(self.element),
            Values::Nets(all) => Set::Nets(all.into_iter().collect::<NetSet>()),
            Values::Ints(all) => Set::ints(all),
            Values::Texts(all) => Set::Strings(all.into_iter().collect::<HashSet<_>>()),
        }
    }
}

fn is_heading(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(formats::is_heading)
}

/// Parses one line. Returns `None` for a line about the list itself.
fn read_line(line: &[u8], kind: Kind, allows_wide: bool) -> Result<Option<Got>, Fault> {
    let text = std::str::from_utf8(line).map_err(|_| Fault::NotText)?;
    if text.contains('\0') {
        return Err(Fault::NotText);
    }
    let Some(found) = formats::read(text, kind)? else { return Ok(None) };
    let mut got = match (found.entry, kind) {
        (Entry::Range(from, to), _) => range(from, to, allows_wide)?,
        (Entry::One(text), Kind::Nets) => network(&text, allows_wide)?,
        (Entry::One(text), Kind::Asns) => Got::of(Element::Int(asn(&text)?), false),
        (Entry::One(text), Kind::Words(id)) => {
            // All country codes have the same length.
            Got::of(Element::Int(word(&text, id)?), true)
        }
        (Entry::One(text), Kind::Texts) => {
            let bytes = text.as_bytes();
            if bytes.is_empty() {
                return Err(Fault::Empty);
            }
            Got::of(Element::Text(bytes.into()), false)
        }
    };
    got.is_sure |= found.is_whole;
    Ok(Some(got))
}

impl Got {
    fn of(element: Element, is_sure: bool) -> Self {
        Self { element: Some(element), report: None, is_sure }
    }

    fn wide(entry: String) -> Self {
        Self { element: None, report: Some(Report::Wide(entry)), is_sure: true }
    }
}

fn range(from: &str, to: &str, allows_wide: bool) -> Result<Got, Fault> {
    let ends = from.parse::<IpAddr>().ok().zip(to.parse().ok());
    let range = ends.and_then(|(from, to)| AddrRange::new(from, to)).ok_or(Fault::Range)?;
    if range.is_wide() && !allows_wide {
        return Ok(Got::wide(format!("{from}-{to}")));
    }
    // Without its last characters the last address would be lower.
    Ok(Got::of(Element::Net(range), true))
}

fn network(text: &str, allows_wide: bool) -> Result<Got, Fault> {
    let masked = match text.split_once('/') {
        Some((address, mask)) if mask.contains('.') => Some(unmasked(address, mask)?),
        _ => None,
    };
    let has_length = text.contains('/') && masked.is_none();
    let text = masked.as_deref().unwrap_or(text);
    let (net, written) = Prefix::parse(text).map_err(|why| match why {
        PrefixError::Address => no_address(text),
        PrefixError::Length => Fault::Length,
    })?;
    if net.range().is_wide() && !allows_wide {
        return Ok(Got::wide(text.to_owned()));
    }
    // A length without its last digit is always that of a wide network.
    let is_sure = !(has_length && allows_wide);
    Ok(match written {
        None => Got::of(Element::Net(net.range()), is_sure),
        Some(address) => Got {
            element: Some(Element::Net(Prefix::host(address).range())),
            report: Some(Report::HostBits(net, address)),
            is_sure: true,
        },
    })
}

/// Converts a network with a netmask to the form with a prefix length.
fn unmasked(address: &str, mask: &str) -> Result<String, Fault> {
    let mask: std::net::Ipv4Addr = mask.parse().map_err(|_| Fault::Length)?;
    match mask_len(mask) {
        Some(len) => Ok(format!("{address}/{len}")),
        None if mask_len(std::net::Ipv4Addr::from(!u32::from(mask))).is_some() => {
            Err(Fault::WildcardMask)
        }
        None => Err(Fault::Mask),
    }
}

/// Returns why a text is not an address.
fn no_address(text: &str) -> Fault {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let has_port = match bare {
        Some((address, port)) => is_ip(address) && port.starts_with(':'),
        None => text.rsplit_once(':').is_some_and(|(address, port)| {
            is_ip(address) && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        }),
    };
    let is_name = text.contains('.')
        && !text.contains([':', '/', '<'])
        && text.contains(|c: char| c.is_ascii_alphabetic());
    match (has_port, is_name) {
        (true, _) => Fault::Port,
        (false, true) => Fault::HostName,
        (false, false) => Fault::Address,
    }
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn asn(text: &str) -> Result<i64, Fault> {
    let digits = text.get(..2).filter(|head| head.eq_ignore_ascii_case("as"));
    let digits = digits.and_then(|_| text.get(2..)).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Asn);
    }
    digits.parse::<u32>().map(i64::from).map_err(|_| Fault::Asn)
}

fn word(text: &str, id: seawall_policy::schema::EnumId) -> Result<i64, Fault> {
    SCHEMA.words(id).and_then(|spec| spec.code(text)).ok_or(Fault::Word)
}

#[cfg(test)]
mod tests;
