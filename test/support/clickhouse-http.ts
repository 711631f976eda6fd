export interface ClickHouseRequest {
  readonly parameters?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | ReadableStream;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

export interface ClickHouseHttp {
  readonly send: (request: ClickHouseRequest) => Promise<Response>;
  /** Returns the body of a 200; throws the body of any other status. */
  readonly text: (sql: string, parameters?: Readonly<Record<string, string>>) => Promise<string>;
}

/** ClickHouse's HTTP interface without a client library. `common` are the parameters of every request. */
export function createClickHouseHttp(
  url: string,
  common: Readonly<Record<string, string>> = {},
): ClickHouseHttp {
  const send = ({
    parameters = {},
    body,
    headers = {},
    method = 'POST',
  }: ClickHouseRequest): Promise<Response> => {
    const init = { method, headers, ...(body === undefined ? {} : { body, duplex: 'half' as const }) };
    return fetch(`${url}/?${new URLSearchParams({ ...common, ...parameters }).toString()}`, init);
  };
  return {
    send,
    async text(sql, parameters = {}) {
      const response = await send({ parameters, body: sql });
      const text = await response.text();
      if (!response.ok) throw new Error(text);
      return text;
    },
  };
}
