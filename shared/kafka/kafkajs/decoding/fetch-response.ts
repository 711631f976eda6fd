import { createRequire } from 'node:module';
import { setImmediate as nextIteration } from 'node:timers/promises';
import { ByteReader } from './byte-reader.ts';
import { dropAborted } from './drop-aborted.ts';
import type { AbortedTransaction } from './drop-aborted.ts';
import type { LogEntry } from './log-entry.ts';
import { decodeRecordSet } from './record-set.ts';

/** A fetch response in the form that kafkajs needs. Its messages are the entries of `log-entry.ts`. */
export interface FetchResponse {
  readonly throttleTime: number;
  readonly clientSideThrottleTime?: number;
  readonly errorCode?: number;
  readonly sessionId?: number;
  readonly responses: readonly {
    readonly topicName: string;
    readonly partitions: readonly PartitionData[];
  }[];
}

interface PartitionData {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: string;
  readonly lastStableOffset: string;
  /** Always empty: `dropAborted` has already removed the records of these transactions. */
  readonly abortedTransactions: readonly [];
  readonly preferredReadReplica?: number;
  readonly messages: readonly LogEntry[];
}

/** Versions of the response that contain record batches; later versions are encoded differently. */
const fetchVersions = [4, 5, 6, 7, 8, 9, 10, 11] as const;
type FetchVersion = (typeof fetchVersions)[number];

/** The functions of a kafkajs response module that are replaced. */
interface ResponseModule {
  decode(raw: Buffer): Promise<FetchResponse>;
}

/**
 * Replaces the decoder of fetch responses in kafkajs 2.2.4. Without the replacement, kafkajs fetches the same offsets
 * for ever if it cannot decode a batch (Snappy, LZ4, Zstandard, a header without a value). A batch of many records ends
 * the fetch with a RangeError (`push(...records)`). A record with a wrong checksum is delivered as valid. With the
 * replacement, a batch that cannot be decoded becomes one `unreadable` entry, and the fetch continues after it.
 */
export function patchFetchDecoding(): void {
  const load = createRequire(import.meta.url);
  for (const version of fetchVersions) {
    const module = load(`kafkajs/src/protocol/requests/fetch/v${version}/response.js`) as ResponseModule;
    module.decode = (raw) => decodeFetchResponse(raw, version);
  }
}

async function decodeFetchResponse(raw: Buffer, version: FetchVersion): Promise<FetchResponse> {
  const reader = new ByteReader(raw);
  const throttleTime = reader.int32();
  const session = version < 7 ? {} : { errorCode: reader.int16(), sessionId: reader.int32() };
  const responses = [];
  for (let topics = reader.int32(); topics > 0; topics -= 1) {
    const topicName = reader.string();
    const partitions = [];
    for (let count = reader.int32(); count > 0; count -= 1) {
      partitions.push(await decodePartition(reader, version));
      // Decompression may take long: this pause lets the event loop send heartbeats before the next partition.
      await nextIteration();
    }
    responses.push({ topicName, partitions });
  }
  // From version 8 on, the broker responds at once, and the client itself must wait for the throttle time.
  return version < 8
    ? { throttleTime, ...session, responses }
    : { throttleTime: 0, clientSideThrottleTime: throttleTime, ...session, responses };
}

async function decodePartition(reader: ByteReader, version: FetchVersion): Promise<PartitionData> {
  const partition = reader.int32();
  const errorCode = reader.int16();
  const highWatermark = String(reader.int64());
  const lastStableOffset = String(reader.int64());
  if (version >= 5) reader.int64();
  const aborted: AbortedTransaction[] = [];
  for (let count = reader.int32(); count > 0; count -= 1) {
    aborted.push({ producerId: reader.int64(), firstOffset: Number(reader.int64()) });
  }
  const replica = version < 11 ? {} : { preferredReadReplica: reader.int32() };
  const entries = await decodeRecordSet(reader.int32Bytes() ?? Buffer.alloc(0));
  return {
    partition,
    errorCode,
    highWatermark,
    lastStableOffset,
    abortedTransactions: [],
    ...replica,
    messages: dropAborted(entries, aborted),
  };
}
