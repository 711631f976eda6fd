// Goal: Redis reads every call as it was meant. Method: compare the bytes of a call with those that ioredis encodes.
import fc from 'fast-check';
import { Command } from 'ioredis';
import { expect, test } from 'vitest';
import { FunctionCall } from '../../../shared/redis/function-call.ts';

const seed = Number(process.env['SEED'] ?? 1);
const text = fc.string({ unit: 'binary', maxLength: 300 });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const argument = fc.oneof(
  text,
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, min: -1e12, max: 1e12 }),
  bytes,
);

test(`a call has exactly the bytes that ioredis encodes (SEED=${seed})`, () => {
  fc.assert(
    fc.property(text, fc.array(text, { maxLength: 20 }), fc.array(argument), (name, keys, args) => {
      const command = new Command('FCALL', [name, keys.length, ...keys, ...args], { replyEncoding: null });
      const expected = Buffer.from(command.toWritable(null as never));
      expect(new FunctionCall(name, keys, args).toWritable().equals(expected)).toBe(true);
    }),
    { numRuns: 2_000, seed },
  );
});
