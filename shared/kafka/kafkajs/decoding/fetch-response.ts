import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { ByteReader } from './byte-reader.ts';
import { dropAborted } from './drop-aborted.ts';
import type { AbortedTransaction } from './drop-aborted.ts';
import type { LogEntry } from './log-entry.ts';
import { decodeRecordSet } from './record-set.ts';

/** The answer to a fetch, in the form in which kafkajs passes it on. */
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
  /** None: what they concern has been left out here. */
  readonly abortedTransactions: readonly [];
  readonly preferredReadReplica?: number;
  readonly messages: readonly LogEntry[];
}

/** Versions of the response that have record batches; later ones are coded in another way. */
export const fetchVersions = [4, 5, 6, 7, 8, 9, 10, 11] as const;
export type FetchVersion = (typeof fetchVersions)[number];

export async function decodeFetchResponse(raw: Buffer, version: FetchVersion): Promise<FetchResponse> {
  const reader = new ByteReader(raw);
  const throttleTime = reader.int32();
  const session = version < 7 ? {} : { errorCode: reader.int16(), sessionId: reader.int32() };
  const responses = [];
  for (let topics = reader.int32(); topics > 0; topics -= 1) {
    const topicName = reader.string();
    const partitions = [];
    for (let count = reader.int32(); count > 0; count -= 1) {
      partitions.push(await decodePartition(reader, version));
      // Decompressing may have taken long: heartbeats go in between.
      await turnOfLoop();
    }
    responses.push({ topicName, partitions });
  }
  // From version 8 on the client waits by itself, while the broker goes on answering.
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
