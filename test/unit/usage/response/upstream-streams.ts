/** Responses as the APIs send them. */

export function sse(events: readonly (object | string)[]): string {
  return events
    .map((event) => (typeof event === 'string' ? event : `data: ${JSON.stringify(event)}`))
    .map((event) => `${event}\n\n`)
    .join('');
}

const chatHead = {
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1_790_000_000,
  model: 'gpt-4o-2024-08-06',
  service_tier: 'default',
  system_fingerprint: 'fp_1',
};

export const chatUsage = {
  prompt_tokens: 19,
  completion_tokens: 12,
  total_tokens: 31,
  prompt_tokens_details: { cached_tokens: 8, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 4 },
};

export function chatChunk(content: string, finish: string | null = null, index = 0): object {
  const delta = finish === null ? { content } : {};
  return { ...chatHead, choices: [{ index, delta, logprobs: null, finish_reason: finish }] };
}

export const chatTexts = ['Hello', ' wörld', ' 🙂', ' "quoted" and \\ escaped\n', '.'];

/** A stream of chat completions; with `usage` as OpenAI reports it on request. */
export function chatEvents(usage: object | null): (object | string)[] {
  const chunks = [
    { ...chatHead, choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] },
    ...chatTexts.map((text) => chatChunk(text)),
    chatChunk('', 'stop'),
  ];
  if (usage === null) return [...chunks, 'data: [DONE]'];
  const withNull = chunks.map((chunk) => ({ ...chunk, usage: null, obfuscation: 'aB3' }));
  return [...withNull, { ...chatHead, choices: [], usage, obfuscation: '' }, 'data: [DONE]'];
}

export function messageEvents(): string[] {
  const usage = {
    input_tokens: 25,
    cache_creation_input_tokens: 100,
    cache_read_input_tokens: 2_000,
    output_tokens: 1,
  };
  return [
    named({
      type: 'message_start',
      message: {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: 'claude-x',
        content: [],
        stop_reason: null,
        usage,
      },
    }),
    named({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    named({ type: 'ping' }),
    named({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello' } }),
    named({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: ' wörld' } }),
    named({ type: 'content_block_stop', index: 0 }),
    named({
      type: 'content_block_start',
      index: 1,
      content_block: { type: 'tool_use', id: 't1', name: 'find', input: {} },
    }),
    named({
      type: 'content_block_delta',
      index: 1,
      delta: { type: 'input_json_delta', partial_json: '{"a":1}' },
    }),
    named({ type: 'content_block_stop', index: 1 }),
    named({
      type: 'message_delta',
      delta: { stop_reason: 'tool_use', stop_sequence: null },
      usage: { output_tokens: 42 },
    }),
    named({ type: 'message_stop' }),
  ];
}

export function responseEvents(): string[] {
  const head = {
    id: 'resp_1',
    object: 'response',
    created_at: 1_790_000_000,
    model: 'gpt-5-2025',
    output: [],
  };
  const usage = {
    input_tokens: 36,
    input_tokens_details: { cached_tokens: 30 },
    output_tokens: 87,
    output_tokens_details: { reasoning_tokens: 64 },
    total_tokens: 123,
  };
  const item = { type: 'message', id: 'm1', role: 'assistant', status: 'in_progress', content: [] };
  const part = { type: 'output_text', text: '', annotations: [] };
  const at = { item_id: 'm1', output_index: 0, content_index: 0 };
  const done = { ...item, status: 'completed', content: [{ ...part, text: 'Hello wörld' }] };
  return [
    { type: 'response.created', response: { ...head, status: 'in_progress', usage: null } },
    { type: 'response.output_item.added', output_index: 0, item },
    { type: 'response.content_part.added', ...at, part },
    { type: 'response.output_text.delta', ...at, delta: 'Hello', logprobs: [] },
    { type: 'response.output_text.delta', ...at, delta: ' wörld', logprobs: [] },
    { type: 'response.output_text.done', ...at, text: 'Hello wörld', logprobs: [] },
    { type: 'response.content_part.done', ...at, part: { ...part, text: 'Hello wörld' } },
    { type: 'response.output_item.done', output_index: 0, item: done },
    { type: 'response.completed', response: { ...head, status: 'completed', output: [done], usage } },
  ].map((event, number) => named({ ...event, sequence_number: number }));
}

export function named(data: { readonly type: string; readonly [name: string]: unknown }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}`;
}
