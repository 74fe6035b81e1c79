//! A tiny HPACK encoder (RFC 7541), without Huffman, that can do what bombs need.

/// Index of `:method: GET` in the static table.
const GET: usize = 2;
/// Of `:method: POST`.
const POST: usize = 3;
/// Of `:scheme: http`.
const HTTP: usize = 6;
/// Of the name `:authority`, and of `:path`.
const AUTHORITY: usize = 1;
const PATH: usize = 4;
/// Of the first entry of the dynamic table: the newest.
pub(crate) const NEWEST: usize = 62;
/// Of the name `cookie`.
pub(crate) const COOKIE: usize = 32;

/// A header block in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block(Vec<u8>);

impl Block {
    /// Of a request.
    pub(crate) fn request(post: bool, path: &str, host: &str) -> Self {
        let mut block = Self::default();
        block.indexed(if post { POST } else { GET });
        block.indexed(HTTP);
        block.named(AUTHORITY, host.as_bytes());
        block.named(PATH, path.as_bytes());
        block
    }

    /// Of a request as a browser makes it, so that a policy forwards it.
    pub(crate) fn browser(post: bool, path: &str, host: &str) -> Self {
        let mut block = Self::request(post, path, host);
        for line in crate::h1::BROWSER.split("\r\n") {
            if let Some((name, value)) = line.split_once(": ") {
                block.literal(name.to_lowercase().as_bytes(), value.as_bytes());
            }
        }
        block
    }

    /// A whole field of a table: one byte or two, whatever its size. That is what bombs are made of.
    pub(crate) fn indexed(&mut self, index: usize) {
        self.integer(0x80, 7, index);
    }

    /// A header whose name is in a table, without an entry in the dynamic table.
    pub(crate) fn named(&mut self, index: usize, value: &[u8]) {
        self.integer(0, 4, index);
        self.string(value);
    }

    /// A header without an entry in the dynamic table.
    pub(crate) fn literal(&mut self, name: &[u8], value: &[u8]) {
        self.0.push(0);
        self.string(name);
        self.string(value);
    }

    /// A header that becomes the newest entry of the dynamic table.
    pub(crate) fn remembered(&mut self, name: &[u8], value: &[u8]) {
        self.0.push(0x40);
        self.string(name);
        self.string(value);
    }

    /// The dynamic table is to hold this many bytes from now on.
    pub(crate) fn table_size(&mut self, bytes: usize) {
        self.integer(0x20, 5, bytes);
    }

    /// These bytes, whatever they are.
    pub(crate) fn raw(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns the block.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn string(&mut self, text: &[u8]) {
        self.integer(0, 7, text.len());
        self.0.extend_from_slice(text);
    }

    /// RFC 7541 §5.1: as much as fits into `bits`, the rest in sevens.
    fn integer(&mut self, first: u8, bits: u32, value: usize) {
        let most = (1usize << bits).saturating_sub(1);
        let low = |value: usize| u8::try_from(value & 0xff).unwrap_or_default();
        if value < most {
            self.0.push(first | low(value));
            return;
        }
        self.0.push(first | low(most));
        let mut rest = value.saturating_sub(most);
        while rest >= 128 {
            self.0.push(0x80 | low(rest & 0x7f));
            rest >>= 7;
        }
        self.0.push(low(rest));
    }
}

/// Returns the status at the start of a response's block, in the forms that servers use: perhaps a
/// size update, then an index or a literal of three digits.
pub(crate) fn status(block: &[u8]) -> Option<u16> {
    match block {
        [update, rest @ ..] if update & 0xe0 == 0x20 => status(rest),
        [0x88, ..] => Some(200),
        [0x89, ..] => Some(204),
        [0x8a, ..] => Some(206),
        [0x8b, ..] => Some(304),
        [0x8c, ..] => Some(400),
        [0x8d, ..] => Some(404),
        [0x8e, ..] => Some(500),
        [0x08 | 0x48 | 0x18, 3, digits @ ..] => {
            std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok()
        }
        // Huffman: digits have five or six bits each.
        [0x08 | 0x48 | 0x18, length @ 0x82..=0x83, coded @ ..] => {
            huffman_digits(coded.get(..usize::from(length & 0x7f))?)
        }
        _ => None,
    }
}

fn huffman_digits(coded: &[u8]) -> Option<u16> {
    let mut bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut value = 0u16;
    for _ in 0..3 {
        let mut code = 0u16;
        for _ in 0..5 {
            code = code << 1 | u16::from(bits.next()?);
        }
        let longer = |bit: u8| (code << 1 | u16::from(bit)).checked_sub(0x16);
        let digit = if code < 3 { code } else { longer(bits.next()?)? };
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(value)
}
