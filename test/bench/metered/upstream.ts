// An upstream with chat completions in its own process. Prints its port and ends with its parent. Headers of a request
// state the number of chunks of its stream, the pause between two chunks, and whether the stream stays open.
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

const usage = '"usage":{"prompt_tokens":9,"completion_tokens":40,"total_tokens":49}';
const answer = `{"id":"c","object":"chat.completion","model":"small-1","choices":[{"index":0,"message":{"role":"assistant","content":"${'word '.repeat(40)}"},"finish_reason":"stop"}],${usage}}`;
const chunkOf = (choices: string, more: string): string =>
  `data: {"id":"c","object":"chat.completion.chunk","model":"small-1","choices":${choices},${more}}\n\n`;

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (text: string) => (body += text));
  request.on('end', () => void respond(request, body, response));
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${typeof address === 'object' ? (address?.port ?? 0) : 0}\n`);
});
process.stdin.on('close', () => process.exit(0)).resume();

async function respond({ headers }: IncomingMessage, body: string, response: ServerResponse): Promise<void> {
  const number = (name: string): number => Number(headers[name] ?? 0);
  if (!body.includes('"stream":true')) {
    response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (let index = 0; index < number('x-chunks'); index += 1) {
    const pauseMs = number('x-pause-ms');
    if (pauseMs > 0) await wait(pauseMs);
    if (response.destroyed) return;
    // All processes of a machine have the same monotonic clock.
    const sentAt = `"sent_at":${process.hrtime.bigint()}`;
    const isSent = response.write(
      chunkOf('[{"index":0,"delta":{"content":" word"},"finish_reason":null}]', sentAt),
    );
    if (!isSent) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
  }
  if (headers['x-hold'] !== undefined) return;
  response.write(chunkOf('[{"index":0,"delta":{},"finish_reason":"stop"}]', '"n":0'));
  if (body.includes('"include_usage":true')) response.write(chunkOf('[]', usage));
  response.end('data: [DONE]\n\n');
}
