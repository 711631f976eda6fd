import { expect, test } from 'vitest';
import { deliveryKeyOf } from '../../../../services/alerter/deliver/delivery.ts';
import type { Delivery } from '../../../../services/alerter/deliver/delivery.ts';
import { createDispatcher } from '../../../../services/alerter/deliver/dispatcher.ts';
import { alertOf } from './alert-of.ts';

const alert = alertOf('acme');
const message = {
  topic: 'alerts',
  partition: 2,
  offset: 7,
  key: 'acme',
  value: Buffer.from(JSON.stringify(alert)),
  timestampMs: 0,
  headers: {},
};

/** A dispatcher over states in memory. */
function dispatcherOver(states: Map<string, Delivery | null>) {
  const taken: Delivery[] = [];
  const dispatcher = createDispatcher({
    state: {
      get: (key) => states.get(key),
      store: async (deliveries) => {
        for (const delivery of deliveries) states.set(deliveryKeyOf(delivery), delivery);
        await Promise.resolve();
      },
    },
    tenants: { get: () => undefined },
    courier: { take: (deliveries) => taken.push(...deliveries) },
    heartbeat: { arrived: () => false },
    clock: { now: () => 1_000 },
  });
  return { dispatcher, taken };
}

test('an alert is stored as a delivery to each target, and taken on', async () => {
  const states = new Map<string, Delivery | null>();
  const { dispatcher, taken } = dispatcherOver(states);
  await dispatcher.dispatch([message, message]);
  expect(taken).toHaveLength(1);
  expect(taken[0]).toMatchObject({ alert, target_id: 'log', partition: 2, status: 'pending', attempts: 0 });
  expect([...states.keys()]).toEqual([deliveryKeyOf(taken[0] as Delivery)]);
});

test('a delivery that somebody began, and left, is taken on by whoever reads its alert next', async () => {
  const states = new Map<string, Delivery | null>();
  await dispatcherOver(states).dispatcher.dispatch([message]);
  const [begun] = [...states.values()].map((one) => one && { ...one, attempts: 3 });
  states.set(deliveryKeyOf(begun as Delivery), begun ?? null);
  const { dispatcher, taken } = dispatcherOver(states);
  await dispatcher.dispatch([message]);
  expect(taken).toEqual([begun]);
});

test('a delivery that has ended is not taken on again', async () => {
  const states = new Map<string, Delivery | null>([[deliveryKeyOf({ alert, target_id: 'log' }), null]]);
  const { dispatcher, taken } = dispatcherOver(states);
  await dispatcher.dispatch([message]);
  expect(taken).toEqual([]);
});

test('what is no alert goes to the dead letters, and the alerts around it are delivered', async () => {
  const { dispatcher, taken } = dispatcherOver(new Map());
  const garbage = { ...message, value: Buffer.from('{') };
  expect(await dispatcher.dispatch([garbage, message])).toEqual([
    { message: garbage, reason: 'is no alert' },
  ]);
  expect(taken).toHaveLength(1);
});
