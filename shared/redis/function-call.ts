import { Command } from 'ioredis';
import type { Argument } from './scripts.ts';

const newline = '\r\n';

/**
 * A call of a function on one server, encoded at once. A command of ioredis converts each argument to a text or a buffer of its own
 * and joins them afterwards, which costs several times as much. `args` of the command is empty: a cluster client, which selects the
 * server by the keys in it, cannot send it.
 */
export class FunctionCall extends Command {
  readonly #bytes: Buffer;

  constructor(name: string, keys: readonly string[], args: readonly Argument[]) {
    super('FCALL', [], { replyEncoding: null });
    this.#bytes = encodeFunctionCall(name, keys, args);
  }

  override toWritable(): Buffer {
    return this.#bytes;
  }
}

/** Encodes a call in RESP: an array of bulk strings, each of which begins with its length in bytes. */
export function encodeFunctionCall(name: string, keys: readonly string[], args: readonly Argument[]): Buffer {
  let text = `*${3 + keys.length + args.length}${newline}${bulk('FCALL')}${bulk(name)}${bulk(String(keys.length))}`;
  for (const key of keys) text += bulk(key);
  // Arguments before the first buffer are texts; the others are written one by one.
  let next = 0;
  for (; next < args.length; next += 1) {
    const arg = args[next] ?? '';
    if (typeof arg === 'object') break;
    text += bulk(String(arg));
  }
  let size = Buffer.byteLength(text);
  for (let index = next; index < args.length; index += 1) size += bulkBytesMax(args[index] ?? '');
  const bytes = Buffer.allocUnsafe(size);
  let at = bytes.write(text);
  for (let index = next; index < args.length; index += 1) at = writeBulk(bytes, at, args[index] ?? '');
  return bytes.subarray(0, at);
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}${newline}${text}${newline}`;
}

/** Room for the length, which has at most ten digits, and the characters around it. */
const bulkHeadBytesMax = 16;

function bulkBytesMax(arg: Argument): number {
  const length = typeof arg === 'object' ? arg.length : Buffer.byteLength(String(arg));
  return bulkHeadBytesMax + length;
}

function writeBulk(bytes: Buffer, from: number, arg: Argument): number {
  if (typeof arg !== 'object') return from + bytes.write(bulk(String(arg)), from);
  const at = from + bytes.write(`$${arg.length}${newline}`, from);
  bytes.set(arg, at);
  return at + arg.length + bytes.write(newline, at + arg.length);
}
