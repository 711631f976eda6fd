import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { UsageFormat } from '../../../../shared/domain/usage/format.ts';
import { UsageReader } from '../../../../services/gateway/usage/usage-reader.ts';
import { callOf, eventStream, jsonBody } from './read-response.ts';
import { chatChunk, messageEvents, sse } from './upstream-streams.ts';

const readersMax = 100;
const readerBytesMax = 16_384;

const long = 'x'.repeat(20_000);
const longChat = sse([chatChunk('a'), chatChunk(long)]);

test.each<[string, UsageFormat, Readonly<Record<string, string>>, boolean, string]>([
  ['an event stream', { kind: 'openai_chat' }, eventStream, false, longChat.slice(0, -100)],
  ['a stream with a hidden report', { kind: 'openai_chat' }, eventStream, true, longChat.slice(0, -100)],
  [
    'an event that is held',
    { kind: 'openai_chat' },
    eventStream,
    true,
    `data: {"id":"${long.slice(0, 8_000)}`,
  ],
  [
    'a stream of messages',
    { kind: 'anthropic_messages' },
    eventStream,
    false,
    sse(messageEvents()).slice(0, -30),
  ],
  ['a body', { kind: 'openai_chat' }, jsonBody, false, `{"choices":[{"message":{"content":"${long}`],
  ['a name that never ends', { kind: 'openai_chat' }, jsonBody, false, `{"${long}`],
  [
    'a number that never ends',
    { kind: 'openai_chat' },
    jsonBody,
    false,
    `{"usage":{"prompt_tokens":${'1'.repeat(20_000)}`,
  ],
  ['deep nesting', { kind: 'openai_chat' }, jsonBody, false, `{"a":${'['.repeat(500)}`],
  ['a model name that never ends', { kind: 'openai_chat' }, jsonBody, false, `{"model":"${long}`],
])(
  '%s needs at most 16 KiB of memory, however long it is',
  (_title, format, headers, isUsageHidden, text) => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const call = callOf(format, { isUsageHidden });
    const before = usedBytes(collect);
    const readers = Array.from({ length: readersMax }, () => {
      const reader = new UsageReader(call, { status: 200, headers });
      reader.push(Buffer.from(text.slice(0, text.length / 2)));
      reader.push(Buffer.from(text.slice(text.length / 2)));
      return reader;
    });
    const used = usedBytes(collect) - before;
    expect(readers[0]?.isCut).toBe(false);
    expect(used / readersMax).toBeLessThan(readerBytesMax);
  },
);

function usedBytes(collect: () => void): number {
  // Buffers are released after the collection that follows the one of their objects.
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
