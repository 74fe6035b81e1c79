/**
 * What a rule is given, in JavaScript.
 *
 * A text is a string with one character for each byte (U+0000 to U+00FF): header values and paths are
 * not always UTF-8, and nothing is lost or guessed this way. Comparing with ASCII works as it reads;
 * `utf8.decode` makes characters of it where somebody may have written others.
 */

/** Characters that `String.fromCharCode` is given at once: a call's arguments lie on the stack. */
const CHUNK = 1024;

/**
 * One character for each byte.
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
 * One byte for each character.
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

/** Between characters and the bytes that a text is made of. */
export const utf8 = {
  /**
   * The characters of a text that is UTF-8; U+FFFD stands for what is not.
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
   * The text whose bytes are these characters in UTF-8.
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

/** The character that begins here, and how many bytes it has. */
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
 * The header fields of a request, in the order of the wire where it is known. Names are lower case; a
 * field that came twice is there twice.
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
   * Reads them as they cross the border.
   * @param {Uint8Array} packed
   * @returns {Headers}
   */
  static unpack(packed) {
    const headers = new Headers();
    headers.#read = undefined;
    headers.#packed = packed;
    return headers;
  }

  /** Many rules look at the User-Agent first and at no field after it, so they are read when asked for. */
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

  /** How many fields there are. */
  get length() {
    return this.#fields.length;
  }

  /**
   * The value of the first field of this name; undefined where there is none.
   * @param {string} name
   * @returns {string | undefined}
   */
  get(name) {
    return this.#fields.find(([have]) => have === name)?.[1];
  }

  /**
   * The values of all fields of this name.
   * @param {string} name
   * @returns {string[]}
   */
  getAll(name) {
    return this.#fields.filter(([have]) => have === name).map(([, value]) => value);
  }

  /**
   * Whether there is a field of this name.
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
  /** @param {Uint8Array} bytes 4 or 16, in network order */
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
   * Whether the first `bits` bits are those of `network`.
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

  /** As `192.0.2.1`, or as eight groups such as `2001:db8:0:0:0:0:0:1`. */
  toString() {
    if (this.version === 4) return this.bytes.join(".");
    const groups = [];
    for (let at = 0; at < 16; at += 2) {
      groups.push(((this.bytes[at] << 8) | this.bytes[at + 1]).toString(16));
    }
    return groups.join(":");
  }
}
