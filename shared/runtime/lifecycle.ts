import type { Logger } from './logger.ts';
import { messageOf } from './errors.ts';

/** Runs the steps of a shutdown in the reverse order of their registration, each with a time limit. */
export interface Lifecycle {
  /** Registers a step of the shutdown. The step that was registered last runs first. */
  onClose(name: string, close: () => Promise<unknown>): void;
  close(): Promise<void>;
}

const closeTimeoutMs = 10_000;

export function createLifecycle(logger: Logger): Lifecycle {
  const steps: { name: string; close: () => Promise<unknown> }[] = [];
  let closing: Promise<void> | null = null;
  return {
    onClose: (name, close) => void steps.push({ name, close }),
    close: () => (closing ??= closeInReverse()),
  };

  async function closeInReverse(): Promise<void> {
    for (const step of steps.toReversed()) {
      const outcome = await Promise.race([
        step.close().then(
          () => 'closed',
          (error: unknown) => messageOf(error),
        ),
        new Promise<string>((resolve) => setTimeout(resolve, closeTimeoutMs, 'timed out').unref()),
      ]);
      logger.debug({ step: step.name, outcome }, 'closed');
    }
  }
}

/**
 * Runs a service until SIGTERM, SIGINT or a failure. Then exits with code 0 after a clean stop and with code 1
 * otherwise. Called by `main.ts` only.
 */
export async function runService(
  logger: Logger,
  start: (lifecycle: Lifecycle, fail: (error: unknown) => void) => Promise<void>,
): Promise<void> {
  const lifecycle = createLifecycle(logger);
  const exit = async (code: number): Promise<void> => {
    await lifecycle.close();
    process.exit(code);
  };
  const fail = (error: unknown): void => {
    logger.fatal({ err: error }, messageOf(error));
    void exit(1);
  };
  process.once('SIGTERM', () => void exit(0));
  process.once('SIGINT', () => void exit(0));
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  try {
    await start(lifecycle, fail);
  } catch (error) {
    fail(error);
  }
}
