/** What a rule is given, in TypeScript. */

/** One character for each byte. */
export function text(bytes: Uint8Array): string;

/** One byte for each character; a character beyond U+00FF is an error. */
export function bytes(text: string): Uint8Array;

/** Between characters and the bytes that a text is made of. */
export const utf8: {
  /** The characters of a text that is UTF-8; U+FFFD stands for what is not. */
  decode(text: string): string;
  /** The text whose bytes are these characters in UTF-8. */
  encode(characters: string): string;
};

/**
 * The header fields of a request, in the order of the wire where it is known. Names are lower case; a
 * field that came twice is there twice.
 */
export class Headers implements Iterable<[string, string]> {
  constructor(fields?: Iterable<[string, string]>);
  /** Reads them as they cross the border. */
  static unpack(packed: Uint8Array): Headers;
  /** How many fields there are. */
  readonly length: number;
  /** The value of the first field of this name. */
  get(name: string): string | undefined;
  /** The values of all fields of this name. */
  getAll(name: string): string[];
  /** Whether there is a field of this name. */
  has(name: string): boolean;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

/** An IP address. */
export class Address {
  constructor(bytes: Uint8Array);
  /** 4 or 16, in network order. */
  readonly bytes: Uint8Array;
  readonly version: 4 | 6;
  /** Whether the first `bits` bits are those of `network`, its bytes, as in `[192, 0, 2, 0]`. */
  isIn(network: ArrayLike<number>, bits: number): boolean;
  toString(): string;
}
