import { expect, test } from 'vitest';
import { createAdminClient } from '../../../services/cli/admin-client.ts';

test.each(['.', '..'])('C4: a tenant named %j never becomes a request for all tenants', async (id) => {
  const client = createAdminClient({ adminUrl: 'http://127.0.0.1:1', adminToken: 'none' }, 'kim');
  const path = `/admin/v1/tenants/${encodeURIComponent(id)}`;
  for (const end of ['', '/reset', '?limit=1'])
    await expect(client.call('POST', `${path}${end}`)).rejects.toThrow('are not ids');
  await expect(client.call('POST', `${path}a/reset`)).rejects.toThrow('does not answer');
});
