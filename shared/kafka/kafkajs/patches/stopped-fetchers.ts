import { createRequire } from 'node:module';

interface Runner {
  readonly running: boolean;
  readonly fetchManager: { stop(): Promise<void> };
}

type Fetch = (this: Runner, nodeId: number) => Promise<readonly unknown[]>;

/**
 * Defect of kafkajs 2.2.4: if the list of brokers changes while a consumer stops, it creates fetchers after it has stopped
 * the earlier ones. A fetch of a stopped consumer returns at once, so that these fetchers repeat it without end. Symptom:
 * the process takes a whole core and does nothing else: no request, no timer. The replacement stops the fetchers.
 */
export function patchStoppedFetchers(): void {
  if (isPatched) return;
  isPatched = true;
  const load = createRequire(import.meta.url);
  const { prototype } = load('kafkajs/src/consumer/runner.js') as { prototype: { fetch: Fetch } };
  const { fetch } = prototype;
  prototype.fetch = function (nodeId) {
    // Waiting for the fetchers would include the fetcher that has called.
    if (!this.running) void this.fetchManager.stop();
    return fetch.call(this, nodeId);
  };
}

let isPatched = false;
