import { countOf, dataEvent } from './report-format.ts';
import type { FinalUsage, StreamProgress } from './report-format.ts';
import { labels } from './select.ts';

/** The values of an event from which `ChoicesProgress` reads how far the stream has come. */
export const choicesLabels = labels({
  id: '/id',
  created: '/created',
  model: '/model',
  usage: '/usage',
  choice: '/choices/*',
  index: '/choices/*/index',
  finish: '/choices/*/finish_reason',
});

/** Highest number of choices that OpenAI's API creates. */
const choicesMax = 128;

/** What a choice contains when its output was cut off. */
export interface LastChunk {
  readonly object: string;
  readonly choice: object;
}

/** Progress of the streams of OpenAI's chat completions and completions: choices that each end by a reason. */
export class ChoicesProgress implements StreamProgress {
  readonly isText = true;
  readonly endsWithResponse = false;
  isComplete = false;

  readonly #last: LastChunk;
  /** The choices that have begun, and whether they have ended. */
  readonly #ended = new Map<number, boolean>();
  #id = 'chatcmpl-tollgate';
  #created = 0;
  #model: string | null = null;
  #index = 0;
  #hasEnded = false;
  #hasChoice = false;
  #hasUsage = false;

  constructor(last: LastChunk) {
    this.#last = last;
  }

  value(name: string, text: string | null): void {
    if (name === 'id') this.#id = text ?? this.#id;
    else if (name === 'created') this.#created = countOf(text) ?? this.#created;
    else if (name === 'model') this.#model = text ?? this.#model;
    else if (name === 'index') this.#index = countOf(text) ?? this.#index;
    else if (name === 'finish') this.#hasEnded = text !== 'null';
  }

  open(name: string): void {
    if (name === 'usage') this.#hasUsage = true;
    if (name !== 'choice') return;
    this.#hasChoice = true;
    this.#index = 0;
    this.#hasEnded = false;
  }

  close(name: string): void {
    if (name !== 'choice' || this.#index >= choicesMax) return;
    this.#ended.set(this.#index, this.#hasEnded || this.#ended.get(this.#index) === true);
  }

  endEvent(): void {
    // The report of the whole stream comes without a choice. Some servers report in every chunk, for the time being.
    if (this.#hasUsage && (!this.#hasChoice || this.#haveAllEnded())) this.isComplete = true;
    this.#hasUsage = false;
    this.#hasChoice = false;
  }

  endStream(): void {
    this.isComplete = true;
  }

  finalEvents({ model, inputTokens, outputTokens, isRequested }: FinalUsage): string {
    const head = {
      id: this.#id,
      object: this.#last.object,
      created: this.#created,
      model: this.#model ?? model,
    };
    const open = [...this.#ended].filter(([, ended]) => !ended).map(([index]) => index);
    const indexes = this.#ended.size === 0 ? [0] : open;
    const choices = indexes.map((index) => ({ index, ...this.#last.choice, finish_reason: 'length' }));
    const usage = {
      prompt_tokens: inputTokens,
      completion_tokens: outputTokens,
      total_tokens: inputTokens + outputTokens,
    };
    const ending = dataEvent({ ...head, choices, tollgate: { reason: 'budget_exhausted' } });
    const report = isRequested ? dataEvent({ ...head, choices: [], usage }) : '';
    return `${ending}${report}data: [DONE]\n\n`;
  }

  #haveAllEnded(): boolean {
    return this.#ended.size > 0 && ![...this.#ended.values()].includes(false);
  }
}
