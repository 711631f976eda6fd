import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GuardedReply, GuardedRequest } from '../guarded-request.ts';

/** A response of Node's HTTP server as a `GuardedReply`, for frameworks that pass it to their middleware. */
export class NodeReply implements GuardedReply {
  readonly raw: ServerResponse;
  readonly request: {
    readonly raw: IncomingMessage;
    readonly headers: IncomingMessage['headers'];
    tollgate: GuardedRequest | null;
  };

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.raw = response;
    this.request = { raw: request, headers: request.headers, tollgate: null };
  }

  get sent(): boolean {
    return this.raw.headersSent;
  }

  header(name: string, value: string): void {
    this.raw.setHeader(name, value);
  }

  getHeader(name: string): number | string | string[] | undefined {
    return this.raw.getHeader(name);
  }

  code(status: number): this {
    this.raw.statusCode = status;
    return this;
  }

  type(mediaType: string): this {
    this.raw.setHeader('content-type', mediaType);
    return this;
  }

  send(body?: object): void {
    if (body === undefined) this.raw.end();
    else this.raw.end(JSON.stringify(body));
  }
}
