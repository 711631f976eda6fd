import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Where the admin API is, and the token that opens it. */
export interface Installation {
  readonly adminUrl: string;
  readonly adminToken: string;
}

export interface InstallationHints {
  readonly adminUrl: string | undefined;
  readonly adminToken: string | undefined;
  /** A running local stack is looked for here and in the folders above. */
  readonly folder: string;
}

/** Thrown with a sentence that says what to do; the process then exits 1. */
export class CliFailure extends Error {}

/** What the environment names; what it leaves open comes from the local stack's file. */
export async function findInstallation({
  adminUrl,
  adminToken,
  folder,
}: InstallationHints): Promise<Installation> {
  if (adminUrl !== undefined && adminToken !== undefined) return { adminUrl, adminToken };
  const stack = await readStack(folder);
  const url = adminUrl ?? stack?.urls?.admin;
  const token = adminToken ?? stack?.admin_token;
  if (url === undefined || token === undefined)
    throw new CliFailure(
      'No installation to talk to. Set TOLLGATE_ADMIN_URL and TOLLGATE_ADMIN_TOKEN, or run this in a folder whose local stack is running (npm start).',
    );
  return { adminUrl: url, adminToken: token };
}

interface Stack {
  readonly urls?: { readonly admin?: string };
  readonly admin_token?: string;
}

async function readStack(folder: string): Promise<Stack | null> {
  for (let here = folder; ; here = dirname(here)) {
    try {
      return JSON.parse(await readFile(join(here, '.local', 'stack.json'), 'utf8')) as Stack;
    } catch {
      if (dirname(here) === here) return null;
    }
  }
}
