import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** URL and token of the admin API that the commands call. */
export interface Installation {
  readonly adminUrl: string;
  readonly adminToken: string;
}

export interface InstallationHints {
  readonly adminUrl: string | undefined;
  readonly adminToken: string | undefined;
  /** The command searches for the file of a running local stack in this folder and in its parent folders. */
  readonly folder: string;
}

/** A failure whose message says what to do. The exit code is 1. */
export class CliFailure extends Error {}

/** The admin API refused a request. */
export class ApiRefusal extends CliFailure {
  /** Status of the response. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/**
 * Reads the installation from environment variables. Missing values are read from the file of a running local stack.
 */
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
      'There is no installation to call. Set TOLLGATE_ADMIN_URL and TOLLGATE_ADMIN_TOKEN, or run this in a folder whose local stack is running (npm start).',
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
