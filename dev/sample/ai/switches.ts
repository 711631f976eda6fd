import { usageDefects } from './token-usage.ts';
import type { UsageDefect } from './token-usage.ts';

/**
 * What a test requires of one call, in the header `x-sample`: `x-sample: tokens=20, pause=50, usage=missing`. A header
 * reaches the sample API through every proxy and can be set for a single call of an SDK.
 */
export interface Switches {
  /** Output tokens of each choice, reasoning tokens included. */
  readonly tokens: number | null;
  readonly input: number | null;
  readonly cached: number;
  readonly cacheWrite: number;
  readonly reasoning: number;
  /** Milliseconds before each token of a stream, or before a response that is not a stream. */
  readonly pauseMs: number;
  /** The connection is destroyed after this many tokens; without a stream, in the middle of the body. */
  readonly die: number | null;
  /** After this many tokens nothing is sent any more, but the connection stays open. */
  readonly stall: number | null;
  /** After this many tokens the stream ends with an error event. */
  readonly failAfter: number | null;
  /** Tokens are sent until the client disconnects; without a stream there is no response at all. */
  readonly endless: boolean;
  readonly usage: UsageDefect | null;
  /** Each token of a stream carries the usage so far, as some servers of open models do. */
  readonly continuousUsage: boolean;
  /** The status of an error that is sent instead of an answer. */
  readonly status: number | null;
  readonly retryAfterSeconds: number | null;
  /** Only the first `times` tries of an SDK get the error. */
  readonly times: number;
  /** The body is written in pieces of this many bytes, which cut events and UTF-8 characters. */
  readonly split: number | null;
  /** Lines of a stream end in CR LF. */
  readonly crlf: boolean;
}

export class InvalidSwitch extends Error {}

const numbers = [
  'tokens',
  'input',
  'cached',
  'cache-write',
  'reasoning',
  'pause',
  'die',
  'stall',
  'fail-after',
  'status',
  'retry-after',
  'times',
  'split',
] as const;
const flags = ['endless', 'continuous-usage', 'crlf'] as const;
const numberMax = 10_000_000;

/** Throws `InvalidSwitch` for a switch that does not exist, so that a misspelled one cannot make a test pass. */
export function readSwitches(header: string | undefined): Switches {
  const values = new Map<string, number>();
  const present = new Set<string>();
  let usage: UsageDefect | null = null;
  for (const part of header?.split(',') ?? []) {
    const [name = '', value] = part.trim().split('=', 2);
    if (value === undefined && includes(flags, name)) present.add(name);
    else if (name === 'usage' && includes(usageDefects, value)) usage = value;
    else if (includes(numbers, name) && /^\d{1,8}$/.test(value ?? '') && Number(value) <= numberMax)
      values.set(name, Number(value));
    else throw new InvalidSwitch(`x-sample: "${part.trim()}" is not a switch of the sample API`);
  }
  const valueOf = (name: (typeof numbers)[number]): number | null => values.get(name) ?? null;
  return {
    tokens: valueOf('tokens'),
    input: valueOf('input'),
    cached: valueOf('cached') ?? 0,
    cacheWrite: valueOf('cache-write') ?? 0,
    reasoning: valueOf('reasoning') ?? 0,
    pauseMs: valueOf('pause') ?? 0,
    die: valueOf('die'),
    stall: valueOf('stall'),
    failAfter: valueOf('fail-after'),
    endless: present.has('endless'),
    usage,
    continuousUsage: present.has('continuous-usage'),
    status: valueOf('status'),
    retryAfterSeconds: valueOf('retry-after'),
    times: valueOf('times') ?? Number.POSITIVE_INFINITY,
    split: valueOf('split'),
    crlf: present.has('crlf'),
  };
}

function includes<Value extends string>(values: readonly Value[], value: string | undefined): value is Value {
  return (values as readonly (string | undefined)[]).includes(value);
}
