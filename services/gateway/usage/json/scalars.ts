/** Byte classes of RFC 8259: whitespace between tokens, and the bytes of numbers and of `true`, `false` and `null`. */
const blankClass = 1;
const scalarClass = 2;

const classes = new Uint8Array(256);
for (const byte of Buffer.from(' \t\r\n')) classes[byte] = blankClass;
for (const byte of Buffer.from('+-.0123456789Eaeflnrstu')) classes[byte] = scalarClass;

const firsts = new Uint8Array(256);
for (const byte of Buffer.from('-0123456789tfn')) firsts[byte] = 1;

const number = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

export function isBlank(byte: number): boolean {
  return classes[byte] === blankClass;
}

export function isScalarByte(byte: number): boolean {
  return classes[byte] === scalarClass;
}

export function beginsScalar(byte: number): boolean {
  return firsts[byte] === 1;
}

export function isScalar(text: string): boolean {
  return text === 'null' || text === 'true' || text === 'false' || number.test(text);
}
