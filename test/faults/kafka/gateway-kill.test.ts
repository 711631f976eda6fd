import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { kafkaAt, newConsumer } from '../../integration/kafka/connection.ts';
import { eventually, servers, uniqueName, uniqueNamespace } from '../../support/servers.ts';

const kills = process.env['TOLLGATE_FAULTS'] === 'long' ? 40 : 5;
const seed = Number(process.env['TOLLGATE_SEED'] ?? Date.now() % 1_000_000);

test(`a gateway killed again and again loses no event whose response left (seed ${seed})`, async () => {
  const { topicPrefix } = uniqueNamespace();
  const topics = topicsWith(topicPrefix);
  const kafka = kafkaAt(servers().kafkaBrokers);
  await ensureTopics(kafka, topics, { partitions: 4 });
  const directory = mkdtempSync(join(tmpdir(), 'tollgate-spool-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const lives = fc.sample(fc.integer({ min: 20, max: 150 }), { numRuns: kills, seed });
  const acknowledged: number[] = [];
  for (const lines of lives)
    acknowledged.push(...(await lifeOf([servers().kafkaBrokers, topicPrefix, directory], lines)));
  expect(new Set(acknowledged).size).toBe(acknowledged.length);

  // One more process sends the events that the killed processes left in the spool.
  const last = spawnGateway([servers().kafkaBrokers, topicPrefix, directory]);
  const consumer = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
  const missing = (): number[] => {
    const found = new Set(consumer.seen.map(sequenceOf));
    return acknowledged.filter((sequence) => !found.has(sequence));
  };
  await eventually(() => missing().length === 0, { timeoutMs: 30_000, intervalMs: 200 }).finally(() =>
    last.kill('SIGKILL'),
  );
  expect(missing()).toEqual([]);
}, 300_000);

/** Runs a gateway until it has printed `lines` lines, kills it, and returns the sequence numbers that it printed. */
async function lifeOf(args: readonly string[], lines: number): Promise<number[]> {
  const child = spawnGateway(args);
  const acknowledged: number[] = [];
  let linesRead = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(...line.split(' ').map(Number));
    linesRead += 1;
    if (linesRead === lines) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  expect(linesRead).toBeGreaterThanOrEqual(lines);
  return acknowledged;
}

function spawnGateway(args: readonly string[]) {
  return spawn(process.execPath, [join(import.meta.dirname, 'gateway.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function sequenceOf({ value }: { readonly value: Buffer | null }): number {
  return (JSON.parse(value?.toString() ?? '') as { data: { sequence: number } }).data.sequence;
}
