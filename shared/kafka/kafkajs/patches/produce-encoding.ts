import { createRequire } from 'node:module';
import { systemClock } from '../../../runtime/time/clock.ts';
import type { Clock } from '../../../runtime/time/clock.ts';
import { encodeProduce } from './produce-request.ts';
import type { OutgoingRecord, ProduceRequest } from './produce-request.ts';

/** The part of a kafkajs encoder that its connection uses. */
interface Encoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
  size(): number;
}

/** A request object of kafkajs; only its `encode` is replaced. */
export interface Described {
  encode(): Promise<Encoded>;
}

/** Versions 3 to 7 of the request have the same encoding. */
const moduleName = 'kafkajs/src/protocol/requests/produce/v3/request.js';

/**
 * Defect of kafkajs 2.2.4: it encodes every record in a zeroed buffer that is too small, and every number in an array
 * and another buffer. Then it copies the batch through six growing buffers. Symptom: this takes a third of the CPU time
 * of an event in the gateway, and causes most of the garbage collection. The replacement writes the same bytes once,
 * into one buffer. kafkajs still encodes the requests that Tollgate rarely sends: requests with headers, own
 * timestamps, compression or transactions.
 */
export function patchProduceEncoding(): void {
  if (isPatched) return;
  isPatched = true;
  const load = createRequire(import.meta.url);
  const describe = load(moduleName) as (request: ProduceRequest) => Described;
  const module = load.cache[load.resolve(moduleName)];
  // kafkajs loads this module with its first request, and then uses the replacement.
  if (module !== undefined) {
    module.exports = (request: ProduceRequest): Described =>
      isPlain(request)
        ? {
            ...describe(request),
            encode: () => Promise.resolve(encoded(encodeProduce(request, clock.now()))),
          }
        : describe(request);
  }
}

let isPatched = false;
let clock = systemClock;

/** Sets the clock of the timestamps for the whole process, because the replaced module exists once in a process. */
export function setProduceClock(newClock: Clock): void {
  clock = newClock;
}

function isPlain({ transactionalId = null, compression = 0, topicData }: ProduceRequest): boolean {
  const batches = topicData.flatMap(({ partitions }) => partitions);
  return (
    transactionalId === null && compression === 0 && batches.every(({ messages }) => messages.every(isBare))
  );
}

function isBare({ headers, timestamp }: OutgoingRecord): boolean {
  return headers === undefined && timestamp === undefined;
}

function encoded(buf: Buffer): Encoded {
  return { buf, buffer: buf, size: () => buf.length };
}
