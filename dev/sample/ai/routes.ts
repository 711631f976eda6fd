import type { IncomingMessage, ServerResponse } from 'node:http';
import { chatCompletions } from './chat-completions.ts';
import { embeddings } from './embeddings.ts';
import { createJournal } from './journal.ts';
import { messages } from './messages.ts';
import type { Protocol } from './protocol.ts';
import { responses } from './responses.ts';
import { serveCall } from './serve-call.ts';

type ReadBody = (request: IncomingMessage) => Promise<string>;

export interface AiRoutes {
  /** Serves a POST to one of the AI endpoints. Returns null for every other request. */
  readonly serve: (request: IncomingMessage, response: ServerResponse, path: string) => Promise<void> | null;
  /** `GET /sample/journal?model=m`: the calls whose fields have these values. */
  readonly sendJournal: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
}

/** The endpoints of OpenAI and Anthropic that the sample API imitates, and their journal. */
export function createAiRoutes(readBody: ReadBody): AiRoutes {
  const journal = createJournal();
  const protocols = new Map<string, Protocol>(
    [chatCompletions, responses, embeddings, messages].map((protocol) => [protocol.endpoint, protocol]),
  );
  return {
    serve: (request, response, path) => {
      const protocol = request.method === 'POST' ? protocols.get(path) : undefined;
      return protocol === undefined
        ? null
        : readBody(request).then((body) => serveCall(protocol, journal, request, response, body));
    },
    sendJournal: (request, response) => {
      const { searchParams } = new URL(request.url ?? '/', 'http://upstream');
      const calls = journal.find(new Map(searchParams));
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ calls }));
      return Promise.resolve();
    },
  };
}
