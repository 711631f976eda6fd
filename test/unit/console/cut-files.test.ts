// Goal: a CSV file that does not have all rows says so, or is not sent.
import { expect, test } from 'vitest';
import { auditPage } from '../../../services/console/operator/audit-page.ts';
import type { OperatorVisit } from '../../../services/console/operator/signed-in.ts';
import type { AuditPage } from '../../../shared/tenants/audit-trail.ts';

async function fileOf(page: AuditPage) {
  let sent = '';
  const reply = { header: () => reply, type: () => reply, send: (text: string) => ((sent = text), reply) };
  const request = { url: '/operator/audit?format=csv', query: { format: 'csv' } };
  const visit = { name: 'ada', request, reply, parts: {} } as unknown as OperatorVisit;
  const content = await auditPage({ auditTrail: { read: () => Promise.resolve(page) } }, visit);
  return { sent, status: content?.status };
}

test('the last row of a cut file has the address of the remaining rows', async () => {
  const { sent } = await fileOf({ entries: [], nextCursor: '17.a', complete: true });
  expect(sent).toContain('cut after 0 rows. The remaining rows: /operator/audit?format=csv&cursor=17.a');
});

test('while ClickHouse does not answer, no file is sent', async () => {
  const file = await fileOf({ entries: [], nextCursor: null, complete: false });
  expect(file).toEqual({ sent: '', status: 503 });
});
