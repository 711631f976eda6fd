import { expect, test } from 'vitest';
import { deliveryKeyOf } from '../../../../shared/domain/topics/delivery.ts';
import type { Delivery } from '../../../../shared/domain/topics/delivery.ts';
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
  const added: Delivery[] = [];
  const dispatcher = createDispatcher({
    state: {
      get: (key) => states.get(key),
      store: async (deliveries) => {
        for (const delivery of deliveries) states.set(deliveryKeyOf(delivery), delivery);
        await Promise.resolve();
      },
    },
    tenants: { get: () => undefined },
    deliveryWorker: { add: (deliveries) => added.push(...deliveries) },
    heartbeat: { arrived: () => false },
    clock: { now: () => 1_000 },
  });
  return { dispatcher, added };
}

test('an alert is stored as a delivery to each target and passed to the delivery worker', async () => {
  const states = new Map<string, Delivery | null>();
  const { dispatcher, added } = dispatcherOver(states);
  await dispatcher.dispatch([message, message]);
  expect(added).toHaveLength(1);
  expect(added[0]).toMatchObject({ alert, target_id: 'log', partition: 2, status: 'pending', attempts: 0 });
  expect([...states.keys()]).toEqual([deliveryKeyOf(added[0] as Delivery)]);
});

test('a pending delivery of a previous owner is passed to the delivery worker of the next consumer of its alert', async () => {
  const states = new Map<string, Delivery | null>();
  await dispatcherOver(states).dispatcher.dispatch([message]);
  const [begun] = [...states.values()].map((one) => one && { ...one, attempts: 3 });
  states.set(deliveryKeyOf(begun as Delivery), begun ?? null);
  const { dispatcher, added } = dispatcherOver(states);
  await dispatcher.dispatch([message]);
  expect(added).toEqual([begun]);
});

test('a finished delivery is not passed to the delivery worker again', async () => {
  const states = new Map<string, Delivery | null>([[deliveryKeyOf({ alert, target_id: 'log' }), null]]);
  const { dispatcher, added } = dispatcherOver(states);
  await dispatcher.dispatch([message]);
  expect(added).toEqual([]);
});

test('an unreadable alert becomes a dead letter, and the alerts around it are delivered', async () => {
  const { dispatcher, added } = dispatcherOver(new Map());
  const garbage = { ...message, value: Buffer.from('{') };
  expect(await dispatcher.dispatch([garbage, message])).toEqual([
    { message: garbage, reason: 'is not a valid alert' },
  ]);
  expect(added).toHaveLength(1);
});
