import { rename, rm, writeFile } from 'node:fs/promises';
import { sampleTenants, signTenantToken } from '../sample/tenants.ts';
import type { Secrets } from './secrets.ts';

/** Keys that `urls` and `pids` always contain. Both may also contain other keys. */
export interface StackFile {
  readonly urls: Readonly<Record<string, string>>;
  /** Links that sign a browser in. */
  readonly links: { readonly portal: string; readonly operator: string };
  readonly admin_token: string;
  readonly service_token: string;
  readonly tenants: readonly StackTenant[];
  readonly pids: Readonly<Record<string, number>>;
}

export interface StackTenant {
  readonly tenant_id: string;
  readonly plan: string;
  /** Token of the tenant's first sample user. `jwts` has the tokens of all its sample users. */
  readonly jwt: string;
  readonly jwts: readonly string[];
  readonly api_key: string;
  /** Whether the sample traffic makes calls for this tenant. */
  readonly busy: boolean;
}

/** A tenant of the plan without sample traffic. */
export function quietTenant(tenants: readonly StackTenant[], plan: string): StackTenant {
  return tenants.find((tenant) => tenant.plan === plan && !tenant.busy)!;
}

const usersPerTenant = 3;

export function stackTenants(secrets: Secrets): Promise<StackTenant[]> {
  return Promise.all(
    sampleTenants.map(async (tenant) => {
      const users = Array.from(
        { length: usersPerTenant },
        (_, i) => `user-${i + 1}@${tenant.tenantId}.example`,
      );
      const jwts = await Promise.all(users.map((user) => signTenantToken(secrets.jwt, tenant, user)));
      return {
        tenant_id: tenant.tenantId,
        plan: tenant.plan,
        jwt: jwts[0]!,
        jwts,
        api_key: secrets.apiKeys[tenant.tenantId]!,
        busy: tenant.trafficPerSecond > 0,
      };
    }),
  );
}

/**
 * The file contains tokens, so only its owner can read it. It is written under another name and then renamed, so that
 * no reader sees an incomplete file.
 */
async function writeStackFile(path: string, stack: StackFile): Promise<void> {
  await writeFile(`${path}.draft`, `${JSON.stringify(stack, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.draft`, path);
}

/** Keeps `stack.json` equal to the running stack. It does not exist before `open` and after `close`. */
export interface StackFileKeeper {
  readonly path: string;
  setPid(name: string, pid: number): Promise<void>;
  open(contents: Omit<StackFile, 'pids'>): Promise<StackFile>;
  close(): Promise<void>;
}

export async function createStackFileKeeper(path: string): Promise<StackFileKeeper> {
  const pids: Record<string, number> = {};
  let contents: Omit<StackFile, 'pids'> | null = null;
  // Writes are made one after the other: processes that restart at the same time change the file at the same time.
  let writing = rm(path, { force: true });
  await writing;

  function write(): Promise<void> {
    writing = writing.then(() =>
      contents === null ? undefined : writeStackFile(path, { ...contents, pids }),
    );
    return writing;
  }

  return {
    path,
    setPid(name, pid) {
      pids[name] = pid;
      return write();
    },
    async open(opened) {
      contents = opened;
      await write();
      return { ...opened, pids };
    },
    async close() {
      contents = null;
      await writing;
      await rm(path, { force: true });
    },
  };
}
