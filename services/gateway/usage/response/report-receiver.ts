import type { UsageViolation } from '../call-usage.ts';
import type { ReportFormat, StreamProgress } from '../formats/report-format.ts';
import type { SelectionReceiver } from '../json/pointers.ts';
import { Figures } from '../figures/figures.ts';

/** Collects what a response reports: figures, the model, the bytes of delivered text, and the progress of a stream. */
export class ReportReceiver implements SelectionReceiver {
  readonly violations = new Set<UsageViolation>();
  readonly figures = new Figures(this.violations);
  readonly progress: StreamProgress;
  servedModel: string | null = null;
  /** Bytes of text of all complete values. */
  textBytes = 0;

  readonly #figureNames: ReadonlySet<string>;
  /** The part of `textBytes` that the current event delivered. */
  #eventBytes = 0;

  constructor(format: ReportFormat) {
    this.#figureNames = format.figures;
    this.progress = format.createProgress();
  }

  value(name: string, text: string | null, isString: boolean): void {
    if (this.#figureNames.has(name)) {
      this.figures.read(name, text, isString);
      return;
    }
    if (name === 'model' && isString && text !== null) this.servedModel = text;
    this.progress.value(name, text);
  }

  text(_name: string, bytes: number): void {
    this.textBytes += bytes;
    this.#eventBytes += bytes;
  }

  open(name: string): void {
    if (this.#figureNames.has(name)) this.violations.add('invalid_figure');
    else this.progress.open(name);
  }

  close(name: string): void {
    this.progress.close(name);
  }

  endEvent(): void {
    // The event has named its kind by now: what it delivered may not have been text.
    if (!this.progress.isText) this.textBytes -= this.#eventBytes;
    this.#eventBytes = 0;
    this.progress.endEvent();
  }
}
