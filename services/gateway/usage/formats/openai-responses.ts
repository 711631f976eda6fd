import { judgeReport } from '../figures/judge-report.ts';
import { PointerNode } from '../json/pointers.ts';
import { openaiFigures, openaiReport } from './openai-usage.ts';
import { countOf, namedEvent } from './report-format.ts';
import type { FinalUsage, ReportFormat, StreamProgress } from './report-format.ts';
import { figures, labels, texts } from './select.ts';

const lastTypes = new Set(['response.completed', 'response.incomplete', 'response.failed']);
/** Events whose `delta` is base64. */
const mediaTypes = new Set(['response.audio.delta', 'response.output_audio.delta']);

/** OpenAI's responses. Every event with output has a `delta`; only the last event reports usage. */
export const openaiResponses: ReportFormat = {
  body: PointerNode.of([
    ...usageOf(''),
    ...labels({ model: '/model' }),
    ...texts([
      '/output/*/content/*/text',
      '/output/*/content/*/refusal',
      '/output/*/summary/*/text',
      '/output/*/name',
      '/output/*/arguments',
      '/output/*/input',
      '/output/*/code',
    ]),
  ]),
  event: PointerNode.of([
    ...usageOf('/response'),
    ...labels({
      type: '/type',
      number: '/sequence_number',
      id: '/response/id',
      created: '/response/created_at',
      model: '/response/model',
    }),
    ...texts(['/delta']),
  ]),
  figures: openaiFigures,
  judge: (reported, evidence) => judgeReport(openaiReport(reported), true, evidence),
  createProgress: () => new ResponseProgress(),
};

function usageOf(parent: string) {
  return figures({
    input: `${parent}/usage/input_tokens`,
    output: `${parent}/usage/output_tokens`,
    total: `${parent}/usage/total_tokens`,
    cached: `${parent}/usage/input_tokens_details/cached_tokens`,
  });
}

class ResponseProgress implements StreamProgress {
  readonly endsWithResponse = false;
  isComplete = false;
  isText = true;
  #type = '';
  #number = -1;
  #id = 'resp_tollgate';
  #created = 0;
  #model: string | null = null;

  value(name: string, text: string | null): void {
    if (name === 'type') {
      this.#type = text ?? '';
      this.isText = !mediaTypes.has(this.#type);
    } else if (name === 'number') this.#number = countOf(text) ?? this.#number;
    else if (name === 'id') this.#id = text ?? this.#id;
    else if (name === 'created') this.#created = countOf(text) ?? this.#created;
    else if (name === 'model') this.#model = text ?? this.#model;
  }

  open(): void {
    // No container describes the progress of this format.
  }

  close(): void {
    // No container describes the progress of this format.
  }

  endEvent(): void {
    if (lastTypes.has(this.#type)) this.isComplete = true;
    this.#type = '';
    this.isText = true;
  }

  endStream(): void {
    this.isComplete = true;
  }

  /** Without `output`, OpenAI's client keeps the items that it received, also those that are not complete. */
  finalEvents({ model, inputTokens, outputTokens }: FinalUsage): string {
    const response = {
      id: this.#id,
      object: 'response',
      created_at: this.#created,
      status: 'incomplete',
      error: null,
      incomplete_details: { reason: 'max_output_tokens' },
      model: this.#model ?? model,
      metadata: { tollgate_reason: 'budget_exhausted' },
      usage: {
        input_tokens: inputTokens,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: outputTokens,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: inputTokens + outputTokens,
      },
    };
    return namedEvent({ type: 'response.incomplete', sequence_number: this.#number + 1, response });
  }
}
