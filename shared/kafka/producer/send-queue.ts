import { TollgateError } from '../../runtime/errors.ts';

/** Runs sends one at a time, in the order of the calls. */
export interface SendQueue {
  /** Rejects with KAFKA_UNAVAILABLE if too many sends wait already. */
  run<Result>(send: () => Promise<Result>): Promise<Result>;
  /** Resolves when the sends that are in the queue now have ended. */
  idle(): Promise<void>;
}

export interface SendQueueOptions {
  readonly waitingMax: number;
  /** Called with the number of sends that wait for the current send. */
  readonly onWaiting: (waiting: number) => void;
}

export function createSendQueue({ waitingMax, onWaiting }: SendQueueOptions): SendQueue {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;

  return {
    async run(send) {
      if (waiting >= waitingMax) {
        throw new TollgateError('KAFKA_UNAVAILABLE', `${waitingMax} sends wait already`);
      }
      onWaiting((waiting += 1));
      const result = last.then(() => {
        onWaiting((waiting -= 1));
        return send();
      });
      last = result.catch(() => undefined);
      return result;
    },
    async idle() {
      await last;
    },
  };
}
