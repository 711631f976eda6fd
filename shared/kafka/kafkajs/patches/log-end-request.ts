import { createRequire } from 'node:module';

const moduleName = 'kafkajs/src/protocol/requests/listOffsets/v2/request.js';
const readUncommitted = 0;

/**
 * Makes the end of a partition the end of its log. kafkajs's admin asks for the end of what is committed, which stands
 * still while any producer has a transaction open: readers would take themselves to have read all there is.
 */
export function askForLogEnds(): void {
  const load = createRequire(import.meta.url);
  const describe = load(moduleName) as ListOffsets;
  const module = load.cache[load.resolve(moduleName)];
  if (asked || module === undefined) return;
  asked = true;
  // Version 3 is built from version 2, and both are loaded with the first request.
  module.exports = (request: ListOffsetsRequest) => describe({ ...request, isolationLevel: readUncommitted });
}

let asked = false;

interface ListOffsetsRequest {
  readonly isolationLevel: number;
}

type ListOffsets = (request: ListOffsetsRequest) => unknown;
