import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';

export interface WebSocketUpstream {
  readonly url: string;
  /** Connections in the order in which they were opened. */
  readonly sockets: WebSocket[];
  /** Headers of the handshakes. */
  readonly handshakes: IncomingHttpHeaders[];
  /** Messages received. */
  readonly messages: string[];
  /** Codes and reasons of the close frames received. */
  readonly closes: [number, string][];
  close(): Promise<void>;
}

/** Echoes on /echo, sends three messages on /push, declines /declined, does not respond on /never. */
export async function startWebSocketUpstream(): Promise<WebSocketUpstream> {
  const sockets: WebSocket[] = [];
  const handshakes: IncomingHttpHeaders[] = [];
  const messages: string[] = [];
  const closes: [number, string][] = [];
  const open = new Set<Socket>();
  const server = createServer((_request, response) => response.end('plain'));
  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: { threshold: 16 } });
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.on('upgrade', (request, socket, head) => {
    handshakes.push(request.headers);
    if (request.url === '/never') return;
    if (request.url === '/declined') {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nX-Own: yes\r\n\r\nnone');
      return;
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      sockets.push(webSocket);
      webSocket.on('close', (code, reason) => closes.push([code, reason.toString()]));
      webSocket.on('message', (data: Buffer, isBinary) => {
        messages.push(data.toString());
        if (request.url === '/echo') webSocket.send(data, { binary: isBinary });
      });
      if (request.url === '/push') for (const text of ['1', '2', '3']) webSocket.send(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets,
    handshakes,
    messages,
    closes,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}
