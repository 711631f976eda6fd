import { eventually, startRedis } from '../../support/servers.ts';
import { operator } from './load.ts';
import { startProxy } from './proxy.ts';

/** A Redis primary and its replica behind one address, as behind a load balancer or a virtual IP address. */
export interface Pair {
  /** The address that clients use. */
  readonly url: string;
  /** Resolves when the replica holds everything that the primary has. */
  inSync(): Promise<void>;
  /** Promotes the replica and points the address to it. The former primary keeps running with its counters. */
  failOver(): Promise<void>;
  /**
   * Points the address to the former primary again. It has the same process and run id as before, but older counters.
   */
  failBack(): Promise<void>;
  /** Makes the replica a copy of the primary again, so that the test can be repeated. */
  replicate(): Promise<void>;
  dispose(): Promise<void>;
}

export async function startPair(): Promise<Pair> {
  const [primary, replica] = await Promise.all([startRedis(), startRedis()]);
  const proxy = await startProxy(primary.port);
  const onPrimary = operator(primary.url);
  const onReplica = operator(replica.url);
  await replicate();
  return { url: proxy.url, inSync, failOver, failBack, replicate, dispose };

  async function replicate(): Promise<void> {
    await onReplica.replicaof('127.0.0.1', primary.port);
    await eventually(async () => (await onReplica.info('replication')).includes('master_link_status:up'));
    await inSync();
  }

  async function inSync(): Promise<void> {
    await onPrimary.incr('in-sync');
    await onPrimary.wait(1, 10_000);
  }

  async function failOver(): Promise<void> {
    await onReplica.replicaof('NO', 'ONE');
    proxy.retarget(replica.port);
  }

  function failBack(): Promise<void> {
    proxy.retarget(primary.port);
    return Promise.resolve();
  }

  async function dispose(): Promise<void> {
    proxy.close();
    onPrimary.disconnect();
    onReplica.disconnect();
    await Promise.all([primary.dispose(), replica.dispose()]);
  }
}
