import { judgeReport } from '../figures/judge-report.ts';
import type { ReportedFigures } from '../figures/judge-report.ts';
import { PointerNode } from '../json/pointers.ts';
import { countOf, namedEvent } from './report-format.ts';
import type { FinalUsage, ReportFormat, StreamProgress } from './report-format.ts';
import { figures, labels, texts } from './select.ts';

/** Highest index of a content block that is remembered. */
const blocksMax = 256;

/**
 * Anthropic's messages. `message_start` reports the input, and each `message_delta` reports cumulative figures. Both are
 * read under the same names, so the latest figure counts.
 */
export const anthropicMessages: ReportFormat = {
  body: PointerNode.of([
    ...usageOf(''),
    ...labels({ model: '/model' }),
    // The input of a tool is an object, whose text is not counted.
    ...texts(['/content/*/text', '/content/*/thinking', '/content/*/name']),
  ]),
  event: PointerNode.of([
    ...usageOf(''),
    ...usageOf('/message'),
    ...labels({ type: '/type', model: '/message/model', index: '/index' }),
    ...texts([
      '/content_block/text',
      '/content_block/thinking',
      '/content_block/name',
      '/delta/text',
      '/delta/thinking',
      '/delta/partial_json',
    ]),
  ]),
  figures: new Set(['uncached', 'read', 'write', 'output']),
  judge: (reported, evidence) => judgeReport(totalInput(reported), true, evidence),
  createProgress: () => new MessageProgress(),
};

function usageOf(parent: string) {
  return figures({
    uncached: `${parent}/usage/input_tokens`,
    read: `${parent}/usage/cache_read_input_tokens`,
    write: `${parent}/usage/cache_creation_input_tokens`,
    output: `${parent}/usage/output_tokens`,
  });
}

/** Anthropic's `input_tokens` do not contain the tokens that were read from a cache or written to it. */
function totalInput(reported: ReadonlyMap<string, number>): ReportedFigures {
  const uncached = reported.get('uncached');
  const [cached, cacheWrite] = [reported.get('read'), reported.get('write')];
  const input = uncached === undefined ? undefined : uncached + (cached ?? 0) + (cacheWrite ?? 0);
  return { input, output: reported.get('output'), cached, cacheWrite, total: undefined };
}

class MessageProgress implements StreamProgress {
  readonly isText = true;
  readonly endsWithResponse = false;
  isComplete = false;
  readonly #openBlocks = new Set<number>();
  #hasBegun = false;
  #type = '';
  #index = 0;

  value(name: string, text: string | null): void {
    if (name === 'type') this.#type = text ?? '';
    else if (name === 'index') this.#index = countOf(text) ?? 0;
  }

  open(): void {
    // No container describes the progress of this format.
  }

  close(): void {
    // No container describes the progress of this format.
  }

  endEvent(): void {
    if (this.#type === 'message_start') this.#hasBegun = true;
    else if (this.#type === 'content_block_start' && this.#index < blocksMax)
      this.#openBlocks.add(this.#index);
    else if (this.#type === 'content_block_stop') this.#openBlocks.delete(this.#index);
    else if (this.#type === 'message_delta' || this.#type === 'message_stop') this.isComplete = true;
    this.#type = '';
    this.#index = 0;
  }

  endStream(): void {
    // Anthropic's streams have no `[DONE]`.
  }

  finalEvents({ outputTokens }: FinalUsage): string {
    // A message that has not begun cannot be ended: the client gets an error, as from an overloaded API.
    if (!this.#hasBegun) {
      const error = { type: 'rate_limit_error', message: 'The budget is exhausted.' };
      return namedEvent({ type: 'error', error });
    }
    const stops = [...this.#openBlocks].map((index) => namedEvent({ type: 'content_block_stop', index }));
    const delta = { stop_reason: 'max_tokens', stop_sequence: null };
    return [
      ...stops,
      namedEvent({ type: 'message_delta', delta, usage: { output_tokens: outputTokens } }),
      namedEvent({ type: 'message_stop' }),
    ].join('');
  }
}
