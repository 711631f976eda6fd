import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { addressPart } from '../../../shared/redis/keys.ts';
import { remoteAddress } from '../../../shared/identity/client-address.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import type { TransportBounds } from './bounds.ts';
import type { Fault } from './fault.ts';
import { answerOnSocket, unknownRequest } from './socket-answer.ts';

export type AdmissionBounds = Pick<TransportBounds, 'connectionsMax' | 'connectionsPerAddressMax'>;

/** Connections that are being told why they are refused; any more are closed without a word. */
const refusingMax = 256;

/**
 * Bounds the open connections of a listener, all of them and those of one address, idle ones included. One too many is
 * answered before it says anything, and closed. Trusted proxies bring many clients on connections of their own, so they
 * are not bounded as an address.
 */
export function boundConnections(
  server: Server,
  enforcer: Enforcer,
  entrypoint: string,
  bounds: AdmissionBounds,
  onRefused: () => void,
): void {
  const [serve] = server.listeners('connection');
  const byAddress = new Map<string, number>();
  let open = 0;
  let refusing = 0;
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const remote = remoteAddress(socket.remoteAddress ?? '');
    const address = addressPart(remote);
    const ofAddress = (byAddress.get(address) ?? 0) + 1;
    byAddress.set(address, ofAddress);
    open += 1;
    socket.once('close', () => leave(address));
    const fault = faultOf(ofAddress, remote);
    if (fault === null) serve?.call(server, socket);
    else refuse(socket, fault);
  });

  function faultOf(ofAddress: number, remote: string): Fault | null {
    if (open > bounds.connectionsMax) {
      return { status: 503, detail: 'Too many connections are open here.', retryAfterSeconds: 1 };
    }
    if (ofAddress <= bounds.connectionsPerAddressMax || enforcer.trusts(remote)) return null;
    const detail = `More than ${bounds.connectionsPerAddressMax} connections are open from this address.`;
    return { status: 429, detail, retryAfterSeconds: 1 };
  }

  function refuse(socket: Socket, fault: Fault): void {
    onRefused();
    if (refusing >= refusingMax) {
      socket.destroy();
      return;
    }
    refusing += 1;
    socket.once('close', () => (refusing -= 1));
    answerOnSocket(enforcer, entrypoint, socket, unknownRequest(enforcer, socket, fault));
  }

  function leave(address: string): void {
    open -= 1;
    const left = (byAddress.get(address) ?? 1) - 1;
    if (left === 0) byAddress.delete(address);
    else byAddress.set(address, left);
  }
}
