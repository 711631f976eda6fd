import { isCluster } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { meansUnavailable } from '../fallback/circuit-breaker.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import { createIterationQueue } from '../iteration-queue.ts';
import { readScript, runScriptForBytes } from '../scripts.ts';
import { decodeHead, encodeAmounts } from './record-bytes.ts';
import type { RecordHead } from './record-bytes.ts';
import type { ReservationRecord } from './reservation.ts';

/** An operation of `settle.lua` on one record. */
export interface RecordOperation {
  readonly record: Pick<ReservationRecord, 'key' | 'tag'>;
  readonly operation: 'settle' | 'cancel' | 'undo' | 'discard' | 'adopt';
  readonly sequence: number;
  readonly targets: readonly (number | null)[];
}

export interface RecordOutcome {
  readonly status: 'applied' | 'superseded' | 'missing';
  readonly head: RecordHead | null;
}

type Argument = string | number | Buffer;

export interface RecordOperations {
  /** Sends the operation together with all others of this event-loop iteration. Rejects as the circuit breaker does. */
  run(operation: RecordOperation): Promise<RecordOutcome>;
  /** Sends the operation in a call of its own, with the arguments that create the record if Redis does not have it. */
  runCreating(operation: RecordOperation, creating: readonly Argument[]): Promise<RecordOutcome>;
  /** The same without the circuit breaker. */
  runUnguarded(operation: RecordOperation, creating: readonly Argument[]): Promise<RecordOutcome>;
}

export interface RecordOperationsOptions {
  readonly redis: RedisClient;
  readonly breakerOf: ServerBreakers['of'];
  /** The first arguments of the script: the time in tests, otherwise '', and the global epoch. */
  readonly timeArguments: () => readonly Argument[];
}

/** Most operations in one call, so that checks do not wait long for it. */
const batchOperationsMax = 16;

const settleScript = readScript(
  ...['clock', 'sliding', 'quota', 'windows', 'reserve', 'record', 'returned', 'return-charge', 'settle'],
);

interface Queued {
  readonly operation: RecordOperation;
  readonly resolve: (outcome: RecordOutcome) => void;
  readonly reject: (error: unknown) => void;
}

export function createRecordOperations(options: RecordOperationsOptions): RecordOperations {
  const { redis, breakerOf, timeArguments } = options;
  const cluster = isCluster(redis);
  const queue = createIterationQueue<Queued>(batchOperationsMax, (batch) => {
    if (!cluster) void send(batch);
    else for (const [, group] of Map.groupBy(batch, tagOf)) void send(group);
  });
  return {
    run: (operation) =>
      new Promise((resolve, reject) => {
        queue.add({ operation, resolve, reject });
      }),
    runCreating: (operation, creating) =>
      breakerOf(operation.record.tag).run(() => runOne(operation, creating)),
    runUnguarded: runOne,
  };

  async function send(batch: readonly Queued[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    try {
      const operations = batch.map(({ operation }) => operation);
      const replies = await breakerOf(tagOf(first)).run(() => call(operations, []));
      batch.forEach(({ resolve, reject }, index) => {
        const reply = replies[index] ?? errorOf(undefined);
        if (reply instanceof Error) reject(reply);
        else resolve(reply);
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  async function runOne(operation: RecordOperation, creating: readonly Argument[]): Promise<RecordOutcome> {
    const [reply = errorOf(undefined)] = await call([operation], creating);
    if (reply instanceof Error) throw reply;
    return reply;
  }

  /**
   * Returns the outcome or the error of each operation. Rejects if the server refuses all writes, so that the circuit breaker
   * opens. An operation that was applied nevertheless is superseded when it is repeated.
   */
  async function call(
    operations: readonly RecordOperation[],
    creating: readonly Argument[],
  ): Promise<(RecordOutcome | Error)[]> {
    const keys = operations.map(({ record }) => record.key);
    const args: Argument[] = [...timeArguments()];
    for (const { operation, sequence, targets } of operations) {
      args.push(
        operation,
        sequence,
        encodeAmounts(targets.map((target) => (target === null ? 0 : target + 1))),
      );
    }
    args.push(...creating);
    const replies = (await runScriptForBytes(redis, settleScript, keys, args)) as [Buffer, Buffer?][];
    return replies.map(([status, detail]) => {
      const text = status.toString();
      if (text === 'failed') return errorOf(detail);
      return {
        status: text as RecordOutcome['status'],
        head: detail === undefined ? null : decodeHead(detail),
      };
    });
  }
}

function tagOf({ operation }: Queued): string {
  return operation.record.tag;
}

function errorOf(detail: Buffer | undefined): Error {
  const error = new Error(detail?.toString() ?? 'settle.lua replied in a wrong shape');
  if (meansUnavailable(error)) throw error;
  return error;
}
