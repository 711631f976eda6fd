import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StackFile } from '../stack-file.ts';

/**
 * Writes one file of HTTP headers for each sample tenant, for the admin API and for services: `curl -H @FILE` sends
 * them. The printed commands thereby stay short. Only the owner can read the files.
 */
export async function writeHeaderFiles(
  dir: string,
  { admin_token, service_token, tenants }: Pick<StackFile, 'admin_token' | 'service_token' | 'tenants'>,
): Promise<void> {
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const files: [string, string[]][] = [
    ['admin', [`Authorization: Bearer ${admin_token}`, 'Content-Type: application/json']],
    ['service', [`X-Service-Token: ${service_token}`]],
    ...tenants.map(({ tenant_id: id, jwt }): [string, string[]] => [id, [`Authorization: Bearer ${jwt}`]]),
  ];
  for (const [name, lines] of files)
    await writeFile(join(dir, name), `${lines.join('\n')}\n`, { mode: 0o600 });
}
