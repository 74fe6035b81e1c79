/**
 * The types of a rule's arguments, in JavaScript.
 *
 * A text is a string with one character for each byte (U+0000 to U+00FF), because header values and
 * paths are not always UTF-8. No byte is lost or guessed. Comparisons with ASCII work directly; use
 * `utf8.decode` to get other characters.
 */

/** Most characters in one call of `String.fromCharCode`, because its arguments are on the stack. */
const CHUNK = 1024;

/**
 * Returns a text with one character for each byte.
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function text(bytes) {
  if (bytes.length <= CHUNK) return String.fromCharCode.apply(null, bytes);
  let out = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    out += String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK));
  }
  return out;
}

/**
 * Returns one byte for each character.
 * @param {string} text
 * @returns {Uint8Array}
 */
export function bytes(text) {
  const out = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > 0xff) {
      throw new RangeError(
        `a text has one character for each byte, and "${text[at]}" is none: utf8.encode(text)`,
      );
    }
    out[at] = code;
  }
  return out;
}

/** Conversion between characters and the bytes of a text. */
export const utf8 = {
  /**
   * Returns the characters of a UTF-8 text; U+FFFD replaces invalid bytes.
   * @param {string} text
   * @returns {string}
   */
  decode(text) {
    let out = "";
    for (let at = 0; at < text.length; ) {
      const [code, length] = character(text, at);
      out += String.fromCodePoint(code);
      at += length;
    }
    return out;
  },

  /**
   * Returns the text with the UTF-8 bytes of these characters.
   * @param {string} characters
   * @returns {string}
   */
  encode(characters) {
    let out = "";
    for (const character of characters) {
      const code = character.codePointAt(0) ?? 0xfffd;
      const extra = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      const head = [0, 0xc0, 0xe0, 0xf0][extra] | (code >> (6 * extra));
      out += String.fromCharCode(head);
      for (let left = extra - 1; left >= 0; left -= 1) {
        out += String.fromCharCode(0x80 | ((code >> (6 * left)) & 0x3f));
      }
    }
    return out;
  },
};

/** Returns the character that begins here, and its number of bytes. */
function character(text, at) {
  const head = text.charCodeAt(at);
  if (head < 0x80) return [head, 1];
  const extra = head >= 0xf0 && head < 0xf5 ? 3 : head >= 0xe0 ? 2 : head >= 0xc2 ? 1 : 0;
  let code = head & (0x3f >> extra);
  for (let next = 1; next <= extra; next += 1) {
    const byte = text.charCodeAt(at + next);
    if ((byte & 0xc0) !== 0x80) return [0xfffd, 1];
    code = (code << 6) | (byte & 0x3f);
  }
  const least = [0x80, 0x80, 0x800, 0x10000][extra];
  const sound = extra > 0 && head < 0xf5 && code >= least && code <= 0x10ffff && code >> 11 !== 0x1b;
  return sound ? [code, extra + 1] : [0xfffd, 1];
}

/**
 * The header fields of a request, in the order of arrival if that is known. Names are in lower case; a
 * repeated field occurs repeatedly.
 */
export class Headers {
  /** @type {[string, string][] | undefined} */
  #read;
  /** @type {Uint8Array | undefined} */
  #packed;

  /** @param {Iterable<[string, string]>} fields */
  constructor(fields = []) {
    this.#read = [...fields];
  }

  /**
   * Reads the packed fields.
   * @param {Uint8Array} packed
   * @returns {Headers}
   */
  static unpack(packed) {
    const headers = new Headers();
    headers.#read = undefined;
    headers.#packed = packed;
    return headers;
  }

  /** Parsed on first use, because many rules read only the User-Agent. */
  get #fields() {
    this.#read ??= Headers.#unpacked(this.#packed);
    return this.#read;
  }

  static #unpacked(packed) {
    const all = text(packed);
    /** @type {[string, string][]} */
    const fields = [];
    for (let at = 0; at < packed.length; ) {
      const name = at + 6;
      const value = name + (packed[at] | (packed[at + 1] << 8));
      const length = packed[at + 2] | (packed[at + 3] << 8) | (packed[at + 4] << 16);
      const end = value + length + packed[at + 5] * 0x1000000;
      if (!(end <= packed.length)) throw new RangeError("headers end in the middle of a field");
      fields.push([all.slice(name, value), all.slice(value, end)]);
      at = end;
    }
    return fields;
  }

  /** Returns the number of fields. */
  get length() {
    return this.#fields.length;
  }

  /**
   * Returns the value of the first field with this name; undefined if there is none.
   * @param {string} name
   * @returns {string | undefined}
   */
  get(name) {
    return this.#fields.find(([have]) => have === name)?.[1];
  }

  /**
   * Returns the values of all fields with this name.
   * @param {string} name
   * @returns {string[]}
   */
  getAll(name) {
    return this.#fields.filter(([have]) => have === name).map(([, value]) => value);
  }

  /**
   * Returns whether there is a field with this name.
   * @param {string} name
   * @returns {boolean}
   */
  has(name) {
    return this.#fields.some(([have]) => have === name);
  }

  /** @returns {IterableIterator<[string, string]>} */
  [Symbol.iterator]() {
    return this.#fields[Symbol.iterator]();
  }
}

/** An IP address. */
export class Address {
  /** @param {Uint8Array} bytes 4 or 16 bytes, in network order */
  constructor(bytes) {
    if (bytes.length !== 4 && bytes.length !== 16) {
      throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`);
    }
    this.bytes = bytes;
  }

  /** @returns {4 | 6} */
  get version() {
    return this.bytes.length === 4 ? 4 : 6;
  }

  /**
   * Returns whether the first `bits` bits equal those of `network`.
   * @param {number[] | Uint8Array} network its bytes, as in [192, 0, 2, 0]
   * @param {number} bits
   * @returns {boolean}
   */
  isIn(network, bits) {
    if (network.length !== this.bytes.length) return false;
    return this.bytes.every((byte, at) => {
      const left = Math.min(Math.max(bits - 8 * at, 0), 8);
      return ((byte ^ network[at]) & (0xff00 >> left) & 0xff) === 0;
    });
  }

  /** Returns `192.0.2.1`, or eight groups such as `2001:db8:0:0:0:0:0:1`. */
  toString() {
    if (this.version === 4) return this.bytes.join(".");
    const groups = [];
    for (let at = 0; at < 16; at += 2) {
      groups.push(((this.bytes[at] << 8) | this.bytes[at + 1]).toString(16));
    }
    return groups.join(":");
  }
}
