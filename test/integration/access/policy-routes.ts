import { form, inAnHour, json } from './sample.ts';
import type { Samples } from './sample.ts';

const admin = '/admin/v1';

export const adminPolicySamples: Samples = {
  'GET /admin/v1/policy': () => ({ path: `${admin}/policy`, status: 200 }),
  'GET /admin/v1/policy/revisions': () => ({ path: `${admin}/policy/revisions`, status: 200 }),
  'GET /admin/v1/policy/revisions/:revision': () => ({
    path: `${admin}/policy/revisions/0123456789ab`,
    status: 404,
  }),
  'GET /admin/v1/policy/shadow': () => ({ path: `${admin}/policy/shadow`, status: 200 }),
  'POST /admin/v1/policy/check': () => ({
    path: `${admin}/policy/check`,
    body: json({ text: 'version: 1' }),
    status: 200,
  }),
  'POST /admin/v1/policy/backtest': () => ({
    path: `${admin}/policy/backtest`,
    body: json({ text: 'version: 1', from: inAnHour(), to: inAnHour() }),
    status: 422,
  }),
  'GET /admin/v1/policy/backtest': () => ({ path: `${admin}/policy/backtest`, status: 404 }),
  'DELETE /admin/v1/policy/backtest': () => ({ path: `${admin}/policy/backtest`, status: 204 }),
  'PUT /admin/v1/policy': () => ({
    path: `${admin}/policy`,
    body: json({ text: 'version: 1', reason: 'no revision is named' }),
    status: 412,
  }),
};

export const consolePolicySamples: Samples = {
  'GET /operator/policy': () => ({ path: '/operator/policy', status: 200 }),
  'POST /operator/policy/check': () => ({
    path: '/operator/policy/check',
    body: form({ text: 'version: 1' }),
    status: 200,
  }),
  'POST /operator/policy/backtest': () => ({
    path: '/operator/policy/backtest',
    body: form({ text: 'version: 1' }),
    status: 422,
  }),
  'POST /operator/policy/backtest/cancel': () => ({
    path: '/operator/policy/backtest/cancel',
    body: '',
    status: 303,
  }),
  'POST /operator/policy/live': () => ({
    path: '/operator/policy/live',
    body: form({ text: 'version: 1', expected: '0123456789ab', confirm: 'no' }),
    status: 422,
  }),
  'GET /operator/policy/live': () => ({ path: '/operator/policy/live', status: 303 }),
};
