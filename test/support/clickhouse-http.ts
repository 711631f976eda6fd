export interface Ask {
  readonly parameters?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | ReadableStream;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

export interface Asker {
  readonly ask: (ask: Ask) => Promise<Response>;
  /** The answer's text; throws it when the status is not 200. */
  readonly text: (sql: string, parameters?: Readonly<Record<string, string>>) => Promise<string>;
}

/** ClickHouse's HTTP interface without a client library; `always` are parameters of every request. */
export function createAsker(url: string, always: Readonly<Record<string, string>> = {}): Asker {
  const ask = ({ parameters = {}, body, headers = {}, method = 'POST' }: Ask): Promise<Response> => {
    const init = { method, headers, ...(body === undefined ? {} : { body, duplex: 'half' as const }) };
    return fetch(`${url}/?${new URLSearchParams({ ...always, ...parameters }).toString()}`, init);
  };
  return {
    ask,
    async text(sql, parameters = {}) {
      const response = await ask({ parameters, body: sql });
      const answer = await response.text();
      if (!response.ok) throw new Error(answer);
      return answer;
    },
  };
}
