import type { IncomingHttpHeaders } from 'node:http';
import type { CallUsage } from './call-usage.ts';
import { figureName } from './formats/policy-format.ts';
import { reportFormatOf } from './formats/format-of.ts';
import type { ReportFormat } from './formats/report-format.ts';
import type { PreparedCall } from './prepared-call.ts';
import { BodyReading } from './response/body-reading.ts';
import { DecodingCopy, isReadableCoding } from './response/decoding-copy.ts';
import { EventReading } from './response/event-reading.ts';
import { HiddenUsage } from './response/hidden-usage.ts';
import { ReportReceiver } from './response/report-receiver.ts';
import type { ResponseReading } from './response/response-reading.ts';

export interface ResponseHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

const nothing: readonly Buffer[] = [];

/**
 * Reads the usage of one call from its response while the response is forwarded. Memory is bounded by a constant: no
 * body and no event is stored. Every chunk is forwarded when it arrives, except for the bytes that `HiddenUsage` holds.
 */
export class UsageReader {
  readonly #call: PreparedCall;
  readonly #head: ResponseHead;
  readonly #format: ReportFormat;
  readonly #receiver: ReportReceiver;
  readonly #reading: ResponseReading;
  readonly #hidden: HiddenUsage | null;
  /** Decodes the copy that is read; null if the response is not coded, or if its coding cannot be read. */
  readonly #decoding: DecodingCopy | null;
  /** False if the body is not read, because its coding is not readable or the report is in the header fields. */
  #isRead = true;
  #hasEnded = false;
  #offset = 0;
  #isCutRequested = false;
  #isCut = false;

  constructor(call: PreparedCall, head: ResponseHead) {
    this.#call = call;
    this.#head = head;
    this.#format = reportFormatOf(call.format);
    this.#receiver = new ReportReceiver(this.#format);
    const coding = codingOf(head);
    const isEventStream = head.headers['content-type']?.trim().toLowerCase().startsWith('text/event-stream');
    this.#hidden = call.isUsageHidden && isEventStream === true && coding === null ? new HiddenUsage() : null;
    this.#reading =
      isEventStream === true
        ? new EventReading(this.#format.event, this.#receiver, this.#hidden)
        : new BodyReading(this.#format.body, this.#receiver);
    this.canCut = isEventStream === true && coding === null;
    const isDecoded = coding !== null && isReadableCoding(coding) && call.format.kind !== 'header';
    this.#decoding = !isDecoded ? null : this.#createDecoding(coding);
    if (call.format.kind === 'header') this.#isRead = false;
    else if (coding !== null && this.#decoding === null) this.#giveUp();
    this.#readFields(head.headers);
  }

  /** The response is an event stream that can be ended before the upstream ends it. */
  readonly canCut: boolean;

  /** The forwarded bytes differ from the upstream's: the client must not receive their length or a digest. */
  get changesBytes(): boolean {
    return this.#hidden !== null;
  }

  /** True when the events that end a cut response have been returned. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** Reads a chunk of the body and returns the bytes to forward. */
  push(chunk: Buffer): readonly Buffer[] {
    if (this.#isCut) return nothing;
    if (this.#decoding !== null) this.#decoding.write(chunk);
    if (this.#decoding !== null || !this.#isRead) return [chunk];
    const read = this.#reading.push(chunk, this.#isCutRequested);
    this.#offset += read;
    const bytes = read === chunk.length ? chunk : chunk.subarray(0, read);
    const forwarded = this.#hidden === null ? [bytes] : this.#hidden.forward(bytes, this.#offset);
    return this.#isCutRequested ? [...forwarded, ...this.cut()] : forwarded;
  }

  /** Resolves when the next chunk can be read; null if it can be read now. */
  ready(): Promise<void> | null {
    return this.#decoding?.ready() ?? null;
  }

  /** The response is complete. Returns the bytes that were held. */
  end(): readonly Buffer[] {
    if (this.#hasEnded) return nothing;
    this.#hasEnded = true;
    if (this.#decoding !== null || !this.#isRead) return nothing;
    this.#reading.end();
    return this.#isCut || this.#hidden === null ? nothing : this.#hidden.end(this.#offset);
  }

  /** Reads the trailer fields of the response. */
  readTrailers(fields: IncomingHttpHeaders): void {
    this.#readFields(fields);
  }

  /**
   * Ends an event stream because its budget is exhausted. Returns the bytes to forward: the final events of the format,
   * or nothing while the client has received a part of an event only. In that case `push` returns them after the event.
   */
  cut(): readonly Buffer[] {
    if (!this.canCut || this.#isCut) return nothing;
    this.#isCutRequested = true;
    if (!this.#reading.isBetweenEvents && this.#hidden?.dropEvent() !== true) return nothing;
    this.#isCut = true;
    const { model, estimate, isUsageRequested } = this.#call;
    const text = this.#receiver.progress.finalEvents({
      model: model ?? '',
      inputTokens: estimate['input_tokens'] ?? 0,
      outputTokens: this.deliveredTokens(),
      isRequested: isUsageRequested,
    });
    return text === '' ? nothing : [Buffer.from(text)];
  }

  /** Tokens of output that were delivered so far. */
  deliveredTokens(): number {
    return Math.ceil(this.#reading.deliveredBytes() / this.#call.bytesPerToken);
  }

  /** The usage of the call, after the response has ended or was aborted. */
  async usage(): Promise<CallUsage> {
    await this.#decoding?.end();
    if (this.#decoding !== null && this.#hasEnded && this.#isRead) this.#reading.end();
    const { violations, figures, servedModel } = this.#receiver;
    const { model, estimate } = this.#call;
    const isFailed = this.#head.status < 200 || this.#head.status > 299;
    if (isFailed && figures.values.size === 0) {
      return { measures: zeros(estimate), source: 'measured', model, servedModel, violations: [] };
    }
    const { isComplete } = this.#reading;
    if (this.#isRead && !isComplete) violations.add('incomplete_response');
    const { measures, source } = this.#format.judge(figures.values, {
      isComplete,
      delivered: {
        bytes: this.#reading.deliveredBytes(),
        tokens: this.deliveredTokens(),
        isCounted: this.#isRead && !violations.has('not_json'),
      },
      estimate,
      violations,
    });
    return { measures, source, model, servedModel, violations: [...violations] };
  }

  #createDecoding(coding: string): DecodingCopy {
    return new DecodingCopy(
      coding,
      (chunk) => void this.#reading.push(chunk, false),
      () => this.#giveUp(),
    );
  }

  #giveUp(): void {
    this.#isRead = false;
    this.#receiver.violations.add('unreadable_coding');
  }

  #readFields(fields: IncomingHttpHeaders): void {
    const { format } = this.#call;
    if (format.kind !== 'header') return;
    for (const [measure, field] of Object.entries(format.measures)) {
      const text = fields[field];
      if (text === undefined) continue;
      const digits = /^\s*\d{1,20}\s*$/.test(String(text)) ? String(text).trim() : null;
      this.#receiver.figures.read(figureName(measure, 0), digits, false);
    }
  }
}

/** The content coding of a response; null if it is not coded. */
function codingOf({ headers }: ResponseHead): string | null {
  const coding = headers['content-encoding']?.trim().toLowerCase() ?? '';
  return coding === '' || coding === 'identity' ? null : coding;
}

/** A response with an error status has consumed nothing, unless it reports usage. */
function zeros(estimate: PreparedCall['estimate']): PreparedCall['estimate'] {
  return Object.fromEntries(Object.keys(estimate).map((measure) => [measure, 0]));
}
