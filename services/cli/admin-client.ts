import type { Method } from './command.ts';
import { ApiRefusal, CliFailure } from './installation.ts';
import type { Installation } from './installation.ts';

export interface AdminClient {
  /**
   * Sends a request to the admin API. Resolves with the response body; undefined if it is empty. Throws CliFailure
   * with the message of the response.
   */
  call<Answer>(method: Method, path: string, body?: object): Promise<Answer>;
}

/** Timeout. An emergency reset of many tenants, or a loss audit of a long log, takes minutes. */
const timeoutMs = 120_000;

export function createAdminClient({ adminUrl, adminToken }: Installation, actor: string): AdminClient {
  const base = adminUrl.replace(/(?<!\/)\/+$/, '');
  return {
    async call<Answer>(method: string, path: string, body?: object): Promise<Answer> {
      // `fetch` resolves dot segments in a URL, so a path with the tenant id `..` would become the path of the
      // emergency reset of all tenants.
      if (/\/\.{1,2}(?:[/?]|$)/.test(path)) throw new CliFailure('“.” and “..” are not ids.');
      const response = await send(`${base}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${adminToken}`,
          'x-actor': actor,
          'user-agent': 'tollgate-cli',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await response.text();
      if (!response.ok) throw new ApiRefusal(failureText(response.status, text, base), response.status);
      return (text === '' ? undefined : JSON.parse(text)) as Answer;
    },
  };
}

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    throw new CliFailure(
      `The admin API at ${new URL(url).origin} does not answer. Is the admin service running?`,
      {
        cause,
      },
    );
  }
}

function failureText(status: number, text: string, base: string): string {
  if (status === 401) return `The admin API at ${base} does not accept this token (TOLLGATE_ADMIN_TOKEN).`;
  try {
    const { title = '', detail = '' } = JSON.parse(text) as { title?: string; detail?: string };
    return `${title}: ${detail}`;
  } catch {
    return `The admin API answered ${status}.`;
  }
}
