import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Secrets of the local installation. The first start creates them. */
export interface Secrets {
  readonly jwt: string;
  readonly serviceToken: string;
  readonly adminToken: string;
  readonly portalSecret: string;
  /** Part of the path of the sign-in links, so that other users of this machine cannot guess them. */
  readonly linkKey: string;
  /** The API key of each sample tenant. */
  readonly apiKeys: Readonly<Record<string, string>>;
}

/** Reads the file of secrets, adds missing secrets, and makes the file readable only by its owner. */
export async function loadSecrets(file: string, tenantIds: readonly string[]): Promise<Secrets> {
  const kept = await readKept(file);
  const apiKeys = Object.fromEntries(tenantIds.map((id) => [id, kept.apiKeys?.[id] ?? `tgk_${random(24)}`]));
  const secrets: Secrets = {
    jwt: kept.jwt ?? random(48),
    serviceToken: kept.serviceToken ?? `tgs_${random(32)}`,
    adminToken: kept.adminToken ?? `tga_${random(32)}`,
    portalSecret: kept.portalSecret ?? random(48),
    linkKey: kept.linkKey ?? random(12),
    apiKeys,
  };
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.draft`, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.draft`, file);
  return secrets;
}

async function readKept(file: string): Promise<Partial<Secrets>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return {};
  }
  return JSON.parse(text) as Partial<Secrets>;
}

function random(bytes: number): string {
  return randomBytes(bytes).toString('base64url');
}
