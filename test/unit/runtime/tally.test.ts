import { Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createTally } from '../../../shared/runtime/tally.ts';

test('a tally exposes, to the letter, what prom-client’s histogram does', async () => {
  const options = { name: 'tollgate_seconds', help: 'How long.', buckets: [0.0001, 0.5, 1, 64] };
  const [ours, theirs] = [new Registry(), new Registry()];
  for (const registry of [ours, theirs]) registry.setDefaultLabels({ service: 'gateway' });
  const tally = createTally({ ...options, registry: ours });
  const histogram = new Histogram({ ...options, registers: [theirs] });
  for (const value of [0, 0.0001, 0.00011, 0.5, 0.75, 1, 3, 64, 65, 1e9]) {
    tally.observe(value);
    histogram.observe(value);
  }
  expect(await ours.metrics()).toBe(await theirs.metrics());
  expect(ours.getSingleMetric('tollgate_seconds')).toBeDefined();
});

test('a tally with a label exposes the same series as prom-client’s histogram with its values set to 0', async () => {
  const options = { name: 'tollgate_seconds', help: 'How long.', buckets: [0.5, 1] };
  const [ours, theirs] = [new Registry(), new Registry()];
  const split = { label: 'decided_by', values: ['redis', 'node'] };
  const tally = createTally({ ...options, split, registry: ours });
  const histogram = new Histogram({ ...options, labelNames: [split.label], registers: [theirs] });
  for (const value of split.values) histogram.zero({ decided_by: value });
  for (const [part, value] of [0.25, 0.75, 3].entries()) {
    tally.observe(value, part % 2);
    histogram.observe({ decided_by: split.values[part % 2] }, value);
  }
  expect(await ours.metrics()).toBe(await theirs.metrics());
});
