import { createRequire } from 'node:module';

const moduleName = 'kafkajs/src/protocol/requests/listOffsets/v2/request.js';
const readUncommitted = 0;

/**
 * Defect of kafkajs 2.2.4: its admin client reads the last stable offset as the end of a partition. Symptom: while a
 * producer has an open transaction, a consumer appears to be at the end although records wait. Here the request reads the
 * end of the log.
 */
export function patchLogEndRequest(): void {
  const load = createRequire(import.meta.url);
  const describe = load(moduleName) as ListOffsets;
  const module = load.cache[load.resolve(moduleName)];
  if (isPatched || module === undefined) return;
  isPatched = true;
  // kafkajs loads versions 2 and 3 with the first request, and builds version 3 from version 2.
  module.exports = (request: ListOffsetsRequest) => describe({ ...request, isolationLevel: readUncommitted });
}

let isPatched = false;

interface ListOffsetsRequest {
  readonly isolationLevel: number;
}

type ListOffsets = (request: ListOffsetsRequest) => unknown;
