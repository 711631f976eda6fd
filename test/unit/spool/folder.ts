import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { openSpool } from '../../../services/gateway/spool/spool.ts';
import type { Spool, SpoolOptions } from '../../../services/gateway/spool/spool.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';

export interface OpenedSpool {
  readonly spool: Spool;
  readonly registry: Registry;
}

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'tollgate-spool-'));
}

export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

export async function openIn(directory: string, options: Partial<SpoolOptions> = {}): Promise<OpenedSpool> {
  const registry = new Registry();
  const clock = { now: () => nowMs };
  const spool = await openSpool({
    directory,
    clock,
    registry,
    logger: pino({ level: 'silent' }),
    // After this time, a spool begins with other sequence numbers than those of its folder.
    openTimeoutMs: 60_000,
    ...options,
  });
  return { spool, registry };
}

const nowMs = 1_795_248_983_000;

/** A copy of the folder as after a crash: the same files, without a lock of a running process, with the mark `running`. */
export function copyAsCrashed(directory: string): string {
  const copy = newFolder();
  cpSync(directory, copy, { recursive: true });
  rmSync(join(copy, 'lock'), { force: true });
  writeFileSync(join(copy, 'numbers'), JSON.stringify({ state: 'running', through: 0, atMs: nowMs }));
  return copy;
}

export function segmentPaths(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.seg'))
    .toSorted()
    .map((name) => join(directory, name));
}

export function eventOf(tenant: string, payload: string): (sequence: number) => UsageCloudEvent {
  return (sequence) => ({
    specversion: '1.0',
    id: `event-${sequence}`,
    source: 'tollgate/node-1',
    type: 'tollgate.request.v1',
    time: '2026-11-21T11:00:00.000Z',
    subject: tenant,
    datacontenttype: 'application/json',
    data: { sequence, payload },
  });
}

/** Reads all records that the spool has not returned yet. */
export async function readAll(spool: Spool): Promise<{ sequence: number; payload: string; key: string }[]> {
  const all: { sequence: number; payload: string; key: string }[] = [];
  for (;;) {
    const records = await spool.readBatch(50, 2_000);
    if (records.length === 0) return all;
    for (const { sequence, key, value } of records) {
      const event = JSON.parse(value.toString()) as UsageCloudEvent<{ sequence: number; payload: string }>;
      if (event.data.sequence !== sequence)
        throw new Error(`record ${sequence} holds event ${event.data.sequence}`);
      all.push({ sequence, key, payload: event.data.payload });
    }
  }
}

export async function metricOf(registry: Registry, name: string): Promise<number> {
  const metric = await registry.getSingleMetric(name)?.get();
  return metric?.values.reduce((sum, { value }) => sum + value, 0) ?? NaN;
}
