import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { apiFormats, estimateDefaults } from '../../../../shared/domain/usage/format.ts';
import { isMeasureValue } from '../../../../shared/domain/usage/measures.ts';
import { prepareCall } from '../../../../services/gateway/usage/prepare-call.ts';
import { UsageReader } from '../../../../services/gateway/usage/usage-reader.ts';
import { chunked, splits } from '../chunks.ts';
import { callOf, eventStream, jsonBody, readResponse } from './read-response.ts';

const kinds = fc.constantFrom(...apiFormats);

/** Pieces of streams and bodies, whole and broken. */
const piece = fc.oneof(
  fc.constantFrom(
    'data: ',
    'data:',
    'data',
    'event: message_delta\n',
    ': comment',
    '\n',
    '\n\n',
    '\r',
    '\r\n',
    '\ufeff',
    '[DONE]',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    '\\u12',
    '"choices":[]',
    '"choices":[{"index":0,"delta":{"content":"x"}}]',
    '"usage":null',
    ',"usage":null',
    '"usage":{"prompt_tokens":1,"completion_tokens":2}',
    '"usage":{"input_tokens":-1,"output_tokens":1e400}',
    '"type":"message_delta"',
    '"delta":{"text":"abc"}',
    '"response":{"usage":{"output_tokens":3}}',
    '9'.repeat(400),
    '-',
    'null',
    'true',
  ),
  fc.string({ unit: 'binary', maxLength: 5 }),
  fc.constantFrom('[', '{"a":').map((open) => open.repeat(600)),
);
const bytes = fc.oneof(
  fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join(''))),
  fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
);

describe('any bytes of an upstream', () => {
  test('are forwarded unchanged, and give measures that are whole numbers', async () => {
    await fc.assert(
      fc.asyncProperty(
        kinds,
        bytes,
        splits,
        fc.boolean(),
        fc.boolean(),
        async (kind, body, cuts, isStream, isAborted) => {
          const headers = isStream ? eventStream : jsonBody;
          const reader = new UsageReader(callOf({ kind }), { status: 200, headers });
          const chunks = chunked(body, cuts);
          for (const chunk of chunks) expect(reader.push(chunk)).toEqual([chunk]);
          if (!isAborted) expect(reader.end()).toEqual([]);
          const { measures } = await reader.usage();
          expect(Object.values(measures).every(isMeasureValue)).toBe(true);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('lose whole events and null members only, where the report is hidden', async () => {
    await fc.assert(
      fc.asyncProperty(bytes, splits, async (body, cuts) => {
        const call = callOf({ kind: 'openai_chat' }, { isUsageHidden: true });
        const once = await readResponse(call, eventStream, [body]);
        const parts = await readResponse(call, eventStream, chunked(body, cuts));
        expect(parts).toEqual(once);
        if (!body.includes('"usage"')) expect(once.forwarded).toBe(body.toString());
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('any bytes of a client', () => {
  test('give a call or a violation', async () => {
    await fc.assert(
      fc.asyncProperty(kinds, bytes, async (kind, body) => {
        const preparation = await prepareCall(
          { kind },
          { bytes: body, coding: '', bytesMax: 10_000 },
          estimateDefaults,
        );
        if ('violation' in preparation) expect(preparation.violation.message).not.toBe('');
        else expect(Object.values(preparation.call.estimate).every(isMeasureValue)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test('never reserve less than the limit that JSON.parse finds', async () => {
    const limit = fc.integer({ min: 1, max: 100_000 });
    const name = fc.constantFrom(
      'max_tokens',
      'max_completion_tokens',
      'max_output_tokens',
      'max_tokens_to_sample',
      'other',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, limit)), async (members) => {
        const text = `{"model":"m"${members.map(([member, value]) => `,"${member}":${value}`).join('')}}`;
        const limits = Object.entries(JSON.parse(text) as Record<string, number>).filter(([name]) =>
          name.startsWith('max_'),
        );
        const preparation = await prepareCall(
          { kind: 'openai_chat' },
          { bytes: Buffer.from(text), coding: '', bytesMax: 10_000 },
          estimateDefaults,
        );
        if ('violation' in preparation) throw new Error(preparation.violation.message);
        const numbers = limits.map(([, value]) => value);
        expect(preparation.call.estimate['output_tokens']).toBeGreaterThanOrEqual(Math.max(0, ...numbers));
      }),
    );
  });
});
