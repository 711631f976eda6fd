// Goal: a tenant is notified of refusals by the limits and from the numbers that it has set, and of heavy refusals without settings.
import { expect, test } from 'vitest';
import { dueRejections, wantedRefusals } from '../../../../services/alerter/evaluate/rejections.ts';

const heavy = { refused: 40, requests: 100 };
const refusing = [
  { name: 'minute', lastMinute: 40 },
  { name: 'chat', lastMinute: 4 },
];

test.each([
  ['nothing set, few refusals', {}, null, []],
  ['nothing set, many refusals', {}, heavy, ['minute 40']],
  ['a number that is reached', { chat: { refusals: 4 } }, null, ['chat 4']],
  ['a number that is not reached', { chat: { refusals: 5 } }, null, []],
  [
    'a number for another limit than the heavy one',
    { chat: { refusals: 4 } },
    heavy,
    ['minute 40', 'chat 4'],
  ],
  ['a higher number than the heavy refusals', { minute: { refusals: 50 } }, heavy, []],
  ['thresholds only', { chat: { thresholds: [0.5] } }, null, []],
] as const)('%s', (_what, limits, counts, expected) => {
  const due = dueRejections(refusing, wantedRefusals({ limits }), counts, 100);
  expect(due.map(({ name, rejections }) => `${name} ${rejections.refused}`)).toEqual(expected);
});
