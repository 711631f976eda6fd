// Goal: only a session that may change notifications sees the secrets and the whole addresses of their targets.
import { expect, test } from 'vitest';
import { targetsSection } from '../../../services/console/portal/alerts/targets-section.ts';

const settings = {
  webhooks: [{ url: 'https://hooks.example/in?key=query-secret', secrets: ['whsec_signing'] }],
  slack: ['https://hooks.slack.example/services/path-secret'],
};
const secrets = ['query-secret', 'whsec_signing', 'path-secret'];

test('a session that may only read sees shortened addresses and no secret', () => {
  const { markup } = targetsSection(settings, false, null);
  for (const secret of secrets) expect(markup).not.toContain(secret);
  expect(markup).toContain('https://hooks.slack.example/…');
});

test('a session that may change them sees addresses and secrets', () => {
  const { markup } = targetsSection(settings, true, null);
  for (const secret of secrets) expect(markup).toContain(secret);
});
