import { expect, test } from 'vitest';
import { greeting } from '../../../dev/stack/greeting/greeting.ts';

const tenant = (plan: string) => ({
  ...{ tenant_id: plan, plan, jwt: 'j', jwts: ['j'], api_key: 'k', busy: false },
});

test('npm start says which monitoring program does not run, and what follows', () => {
  const text = greeting({
    stack: {
      urls: {},
      links: { portal: '', operator: '' },
      admin_token: 'a',
      service_token: 's',
      tenants: ['free', 'pro', 'enterprise'].map(tenant),
      pids: {},
    },
    ...{
      stackPath: '.local/stack.json',
      headersDir: '/headers',
      moved: [],
      secondsToReady: 6,
      traffic: true,
    },
    missing: ['prometheus is not installed: no metric is stored and no alert is evaluated'],
  });
  expect(text).toContain('! prometheus is not installed: no metric is stored and no alert is evaluated');
});
