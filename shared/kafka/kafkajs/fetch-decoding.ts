import { createRequire } from 'node:module';
import { decodeFetchResponse, fetchVersions } from './decoding/fetch-response.ts';
import type { FetchResponse } from './decoding/fetch-response.ts';

/** What kafkajs asks to read the answer to a fetch. */
interface ResponseModule {
  decode(raw: Buffer): Promise<FetchResponse>;
}

/**
 * kafkajs 2.2.4 knows two of Kafka's five codecs, does not look at checksums, and gives up a whole fetch when one batch of
 * it cannot be decoded; it fetches the same again, for ever. Ours decodes all of them, and tells of a batch that cannot be
 * decoded as of one more record, so that reading goes on behind it.
 */
export function decodeFetches(): void {
  const load = createRequire(import.meta.url);
  for (const version of fetchVersions) {
    const module = load(`kafkajs/src/protocol/requests/fetch/v${version}/response.js`) as ResponseModule;
    module.decode = (raw) => decodeFetchResponse(raw, version);
  }
}
