/** The types of a rule's arguments, in TypeScript. */

/** Returns a text with one character for each byte. */
export function text(bytes: Uint8Array): string;

/** Returns one byte for each character; a character above U+00FF is an error. */
export function bytes(text: string): Uint8Array;

/** Conversion between characters and the bytes of a text. */
export const utf8: {
  /** Returns the characters of a UTF-8 text; U+FFFD replaces invalid bytes. */
  decode(text: string): string;
  /** Returns the text with the UTF-8 bytes of these characters. */
  encode(characters: string): string;
};

/**
 * The header fields of a request, in the order of arrival if that is known. Names are in lower case; a
 * repeated field occurs repeatedly.
 */
export class Headers implements Iterable<[string, string]> {
  constructor(fields?: Iterable<[string, string]>);
  /** Reads the packed fields. */
  static unpack(packed: Uint8Array): Headers;
  /** Returns the number of fields. */
  readonly length: number;
  /** Returns the value of the first field with this name. */
  get(name: string): string | undefined;
  /** Returns the values of all fields with this name. */
  getAll(name: string): string[];
  /** Returns whether there is a field with this name. */
  has(name: string): boolean;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

/** An IP address. */
export class Address {
  constructor(bytes: Uint8Array);
  /** 4 or 16 bytes, in network order. */
  readonly bytes: Uint8Array;
  readonly version: 4 | 6;
  /** Returns whether the first `bits` bits equal those of `network`, its bytes, as in `[192, 0, 2, 0]`. */
  isIn(network: ArrayLike<number>, bits: number): boolean;
  toString(): string;
}
