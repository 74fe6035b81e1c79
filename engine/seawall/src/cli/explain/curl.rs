//! A curl command line as browsers copy it ("copy as cURL", POSIX quoting).
//!
//! Supports the flags that change the request header. Another flag is an error that names it:
//! without the flag, another request would be explained than the one that was sent.

use super::ParsedRequest;

/// The supported flags.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Method,
    Header,
    UserAgent,
    Cookie,
    Referer,
    Data,
    Head,
    Url,
    /// Changes nothing that a policy evaluates.
    Nothing,
}

/// The command as far as it is parsed.
#[derive(Default)]
struct CurlCommand {
    method: Option<String>,
    url: Option<String>,
    /// Headers as typed. One that ends with its colon removes the header that curl adds.
    headers: Vec<String>,
    data: Vec<String>,
    head: bool,
}

/// Parses a command.
pub(super) fn read(command: &str) -> Result<ParsedRequest, String> {
    let mut words = split(command)?.into_iter();
    if words.next().as_deref() != Some("curl") {
        return Err("a curl command must begin with `curl`".to_owned());
    }
    let mut parsed = CurlCommand::default();
    while let Some(word) = words.next() {
        if !word.starts_with('-') || word == "-" {
            parsed.url(word)?;
            continue;
        }
        let (flag, attached) = known(&word)?;
        if matches!(flag, Flag::Head | Flag::Nothing) {
            parsed.head |= flag == Flag::Head;
            continue;
        }
        let value = attached.or_else(|| words.next());
        parsed.set(flag, value.ok_or_else(|| format!("`{word}` needs a value"))?)?;
    }
    parsed.request()
}

/// The flag of an argument, and the value that is attached to it: `-XPOST`.
fn known(word: &str) -> Result<(Flag, Option<String>), String> {
    let long = |name: &str| {
        Some(match name {
            "--request" => Flag::Method,
            "--header" => Flag::Header,
            "--user-agent" => Flag::UserAgent,
            "--cookie" => Flag::Cookie,
            "--referer" => Flag::Referer,
            "--data" | "--data-raw" | "--data-binary" | "--data-ascii" | "--data-urlencode" => {
                Flag::Data
            }
            "--head" => Flag::Head,
            "--url" => Flag::Url,
            "--insecure" | "--compressed" | "--silent" | "--include" | "--verbose"
            | "--show-error" => Flag::Nothing,
            _ => return None,
        })
    };
    let short = |letter: char| {
        Some(match letter {
            'X' => Flag::Method,
            'H' => Flag::Header,
            'A' => Flag::UserAgent,
            'b' => Flag::Cookie,
            'e' => Flag::Referer,
            'd' => Flag::Data,
            'I' => Flag::Head,
            'k' | 's' | 'S' | 'i' | 'v' => Flag::Nothing,
            _ => return None,
        })
    };
    let unknown = |flag: &str| format!("`{}` is not supported", flag.escape_debug());
    if word.starts_with("--") {
        return long(word).map(|flag| (flag, None)).ok_or_else(|| unknown(word));
    }
    // Letters without a value may be combined: `-sk`, `-skXPOST`.
    let mut letters = word.chars();
    letters.next();
    let mut last = Flag::Nothing;
    while let Some(letter) = letters.next() {
        let flag = short(letter).ok_or_else(|| unknown(&format!("-{letter}")))?;
        if !matches!(flag, Flag::Head | Flag::Nothing) {
            let rest = letters.as_str();
            return match (last, rest.is_empty()) {
                (Flag::Head, _) => Err(unknown(word)),
                (_, empty) => Ok((flag, (!empty).then(|| rest.to_owned()))),
            };
        }
        last = if last == Flag::Head { last } else { flag };
    }
    Ok((last, None))
}

impl CurlCommand {
    fn url(&mut self, url: String) -> Result<(), String> {
        match self.url.replace(url) {
            None => Ok(()),
            Some(_) => Err("only one URL is supported".to_owned()),
        }
    }

    fn set(&mut self, flag: Flag, value: String) -> Result<(), String> {
        match flag {
            Flag::Method => self.method = Some(value),
            Flag::Header if value.starts_with('@') => {
                return Err("headers from a file are not supported".to_owned());
            }
            Flag::Header => self.headers.push(value),
            Flag::UserAgent => self.headers.push(format!("user-agent: {value}")),
            Flag::Referer => self.headers.push(format!("referer: {value}")),
            Flag::Cookie if !value.contains('=') => {
                return Err("cookies from a file are not supported".to_owned());
            }
            Flag::Cookie => self.headers.push(format!("cookie: {value}")),
            Flag::Data => self.data.push(value),
            Flag::Url => self.url(value)?,
            Flag::Head | Flag::Nothing => {}
        }
        Ok(())
    }

    fn request(self) -> Result<ParsedRequest, String> {
        let Some(url) = self.url else { return Err("the curl command has no URL".to_owned()) };
        let method = match (&self.method, self.head, self.data.is_empty()) {
            (Some(method), ..) => method.as_str(),
            (None, true, _) => "HEAD",
            (None, false, false) => "POST",
            (None, false, true) => "GET",
        };
        let mut request = ParsedRequest::new(method, &url)?;
        let mut removed = Vec::new();
        for line in &self.headers {
            match line.split_once(':') {
                Some((name, "")) => removed.push(name.to_ascii_lowercase()),
                // curl writes an empty header with a semicolon.
                None => match line.strip_suffix(';') {
                    Some(name) => request.header(&format!("{name}:"))?,
                    None => request.header(line)?,
                },
                Some(_) => request.header(line)?,
            }
        }
        // The command does not name the version of curl; rules about curl test the name before it.
        let mut own = vec![("accept", "*/*".to_owned()), ("user-agent", "curl/8.0.0".to_owned())];
        if !self.data.is_empty() {
            // The length of a file is not known.
            if !self.data.iter().any(|data| data.starts_with('@')) {
                let bytes = self.data.iter().map(String::len).sum::<usize>();
                let joints = self.data.len().saturating_sub(1);
                own.push(("content-length", bytes.saturating_add(joints).to_string()));
            }
            own.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
        }
        for (name, value) in own {
            let typed = request.headers.iter().any(|(known, _)| known == name);
            if !typed && !removed.iter().any(|gone| gone == name) {
                request.headers.push((name.to_owned(), value.into_bytes()));
            }
        }
        Ok(request)
    }
}

/// Splits arguments as a POSIX shell does, with `$'…'` as browsers write it, without expansion.
pub(in crate::cli) fn split(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\\' => match chars.next() {
                // A continued line.
                Some('\n') | None => {}
                Some('\r') if chars.peek() == Some(&'\n') => {
                    chars.next();
                }
                Some(c) => word.get_or_insert_default().push(c),
            },
            '\'' => quoted(&mut chars, word.get_or_insert_default(), Quote::Single)?,
            '"' => quoted(&mut chars, word.get_or_insert_default(), Quote::Double)?,
            '$' if chars.peek() == Some(&'\'') => {
                chars.next();
                quoted(&mut chars, word.get_or_insert_default(), Quote::Dollar)?;
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The kind of a quote.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    Single,
    Double,
    Dollar,
}

fn quoted(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    word: &mut String,
    quote: Quote,
) -> Result<(), String> {
    let end = if quote == Quote::Double { '"' } else { '\'' };
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, _) if c == end => return Ok(()),
            ('\\', Quote::Double) => match chars.next() {
                Some('\n') => {}
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => break,
            },
            ('\\', Quote::Dollar) => match chars.next() {
                Some('n') => word.push('\n'),
                Some('r') => word.push('\r'),
                Some('t') => word.push('\t'),
                Some(c @ ('\'' | '"' | '\\' | '!')) => word.push(c),
                Some('u') => word.push(code_point(chars)?),
                Some(c) => return Err(format!("`\\{}` is not supported", c.escape_debug())),
                None => break,
            },
            (c, _) => word.push(c),
        }
    }
    Err(format!("a quote `{end}` is not closed"))
}

/// Parses the four digits after `\u`.
fn code_point(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, String> {
    let digits: String = chars.by_ref().take(4).collect();
    let number = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
    number.and_then(char::from_u32).ok_or_else(|| "`\\u` needs four digits of a character".into())
}
