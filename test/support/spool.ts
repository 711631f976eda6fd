import { eventually } from './servers.ts';

/**
 * Resolves when the disk has all events whose responses a gateway has sent. While a call to the disk takes longer than
 * 250 ms, also on a busy machine, responses are sent before, and a kill then loses their events, as documented.
 */
export async function untilSpoolStores(gatewayOpsUrl: string): Promise<void> {
  const stores = /^tollgate_spool_memory_only(\{[^}]*\})? 0$/m;
  await eventually(async () => stores.test(await (await fetch(`${gatewayOpsUrl}/metrics`)).text()), {
    timeoutMs: 60_000,
    intervalMs: 10,
  });
}
