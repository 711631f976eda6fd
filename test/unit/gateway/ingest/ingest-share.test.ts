import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createIngestShare } from '../../../../services/gateway/ingest/ingest-share.ts';

const mebibyte = 1024 * 1024;

/** A spool of 16 MiB, of which one publisher may use 1 MiB and all publishers together 8 MiB. */
function spoolOf(): {
  used: number;
  acknowledgedSequence: number;
  bytesMax: number;
  usedShare(): number;
  acknowledged(): number;
  diskFailure(): null;
} {
  return {
    used: 0,
    acknowledgedSequence: 0,
    bytesMax: 16 * mebibyte,
    usedShare() {
      return this.used / this.bytesMax;
    },
    acknowledged() {
      return this.acknowledgedSequence;
    },
    diskFailure: () => null,
  };
}

test('C2: a publisher that floods while Kafka is down is refused before it uses the share of other publishers', () => {
  const spool = spoolOf();
  const share = createIngestShare(spool);
  let sequence = 0;
  for (let sent = 0; share.admits('flood', 100_000); sent += 1) {
    expect(sent).toBeLessThan(11);
    spool.used += 100_000;
    share.appended('flood', 100_000, (sequence += 1));
  }
  expect(share.unsentBytes('flood')).toBeLessThanOrEqual(mebibyte);
  expect(share.admits('other', 100_000)).toBe(true);
  spool.acknowledgedSequence = sequence;
  spool.used = 0;
  expect(share.admits('flood', 100_000)).toBe(true);
});

test('C2: many publishers together leave half of the spool to the events of requests', () => {
  const spool = spoolOf();
  const share = createIngestShare(spool);
  for (let n = 0; n < 100; n += 1) {
    if (!share.admits(`tenant-${n}`, 500_000)) continue;
    spool.used += 500_000;
    share.appended(`tenant-${n}`, 500_000, n + 1);
  }
  expect(spool.usedShare()).toBeLessThanOrEqual(0.5);
  expect(spool.usedShare()).toBeGreaterThan(0.45);
});

test('unsent bytes of a publisher are at least those that Kafka lacks, and exceed them by one merged entry at most', () => {
  const seed = Date.now() % 1_000_000;
  console.log(`ingest share: fast-check seed ${seed}`);
  const step = fc.record({
    publisher: fc.constantFrom('a', 'b', 'c'),
    bytes: fc.integer({ min: 1, max: 400_000 }),
    acknowledges: fc.integer({ min: 0, max: 4 }),
  });
  const mergedMax = 256 * 1024 + 400_000;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const spool = { ...spoolOf(), bytesMax: Number.MAX_SAFE_INTEGER };
      const share = createIngestShare(spool);
      const appended: { publisher: string; bytes: number; sequence: number }[] = [];
      let sequence = 0;
      for (const { publisher, bytes, acknowledges } of steps) {
        share.appended(publisher, bytes, (sequence += 1));
        appended.push({ publisher, bytes, sequence });
        spool.acknowledgedSequence = Math.min(sequence, spool.acknowledgedSequence + acknowledges);
        for (const one of ['a', 'b', 'c']) {
          const lacking = appended
            .filter((entry) => entry.publisher === one && entry.sequence > spool.acknowledgedSequence)
            .reduce((sum, entry) => sum + entry.bytes, 0);
          expect(share.unsentBytes(one)).toBeGreaterThanOrEqual(lacking);
          expect(share.unsentBytes(one)).toBeLessThanOrEqual(lacking + mergedMax);
        }
      }
    }),
    { seed, numRuns: 30 },
  );
});
