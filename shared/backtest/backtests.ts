import { messageOf } from '../runtime/errors.ts';
import type { BacktestResult } from './result.ts';
import { runBacktest } from './run-backtest.ts';
import type { BacktestOptions, BacktestRequest } from './run-backtest.ts';

/** The backtest of this process that was started last. */
export interface BacktestState {
  readonly state: 'running' | 'finished' | 'failed' | 'cancelled';
  readonly startedBy: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly request: BacktestRequest;
  /** The text of the proposed policy. */
  readonly text: string;
  readonly events: number;
  readonly total: number;
  /** Null unless it is finished. */
  readonly result: BacktestResult | null;
  /** Why it failed; null unless it did. */
  readonly error: string | null;
}

export interface BacktestStart {
  readonly request: BacktestRequest;
  readonly text: string;
  readonly startedBy: string;
}

/** Runs one backtest at a time, and keeps the result of the last one. */
export interface Backtests {
  /** Starts a backtest. Returns false, and starts none, while another one runs. */
  start(start: BacktestStart): boolean;
  /** Null: none was started since this process started. */
  current(): BacktestState | null;
  /** Cancels the one that runs. */
  cancel(): void;
  /** Cancels, and waits for the end. */
  close(): Promise<void>;
}

export function createBacktests(
  options: Pick<BacktestOptions, 'clickhouse' | 'recordOf'>,
  now: () => number,
): Backtests {
  let state: BacktestState | null = null;
  let cancelling = new AbortController();
  let running: Promise<void> = Promise.resolve();
  return {
    start,
    current: () => state,
    cancel: () => cancelling.abort(),
    close: async () => {
      cancelling.abort();
      await running;
    },
  };

  function start({ request, text, startedBy }: BacktestStart): boolean {
    if (state?.state === 'running') return false;
    cancelling = new AbortController();
    const startedAt = new Date(now()).toISOString();
    const begun = { startedBy, startedAt, request, text, events: 0, total: 0, result: null, error: null };
    state = { ...begun, state: 'running' };
    running = run(request, cancelling.signal);
    return true;
  }

  async function run(request: BacktestRequest, signal: AbortSignal): Promise<void> {
    const onProgress = ({ events, total }: { events: number; total: number }): void =>
      update({ events, total });
    try {
      update({ result: await runBacktest(request, { ...options, signal, onProgress }), state: 'finished' });
    } catch (error) {
      update(signal.aborted ? { state: 'cancelled' } : { state: 'failed', error: messageOf(error) });
    }
  }

  function update(change: Partial<BacktestState>): void {
    if (state !== null) state = { ...state, ...change };
  }
}
