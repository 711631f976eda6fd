import type { UsageViolation } from '../call-usage.ts';

/** The largest figure that is plausible for one call. */
export const figureMax = 1_000_000_000;

/** The figures of the upstream's reports. Cumulative figures replace earlier ones and never become lower. */
export class Figures {
  readonly values = new Map<string, number>();
  readonly violations: Set<UsageViolation>;

  constructor(violations: Set<UsageViolation>) {
    this.violations = violations;
  }

  /** Reads a figure. `text` is null if it is too long; `null` means that the upstream does not report the figure. */
  read(name: string, text: string | null, isString: boolean): void {
    if (text === 'null' && !isString) return;
    const value = text === null || isString ? NaN : Number(text);
    if (!Number.isSafeInteger(value) || value < 0 || value > figureMax) {
      this.violations.add('invalid_figure');
      return;
    }
    const previous = this.values.get(name);
    if (previous !== undefined && value < previous) this.violations.add('decreased_figure');
    else this.values.set(name, value);
  }
}
