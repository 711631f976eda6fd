import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { addressPart } from '../../../shared/redis/keys.ts';
import { remoteAddress } from '../../../shared/identity/client-address.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import type { TransportBounds } from './bounds.ts';
import type { Fault } from './fault.ts';
import { respondOnSocket, unknownRequest } from './socket-response.ts';
import { counted } from '../../../shared/domain/text/counted.ts';

export type AdmissionBounds = Pick<TransportBounds, 'connectionsMax' | 'connectionsPerAddressMax'>;

/**
 * Maximum number of refused connections that wait for their error response at the same time. Further refused
 * connections are closed without a response.
 */
const pendingRefusalsMax = 256;

/**
 * Bounds the open connections of a listener, in total and per address, including idle ones. A connection above a bound
 * gets an error response before its request is read, and is closed. The bound per address does not apply to trusted
 * proxies, because their connections carry requests of many clients.
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
  let pendingRefusals = 0;
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const remote = remoteAddress(socket.remoteAddress ?? '');
    const address = addressPart(remote);
    const ofAddress = (byAddress.get(address) ?? 0) + 1;
    byAddress.set(address, ofAddress);
    open += 1;
    socket.once('close', () => countClosed(address));
    const fault = faultOf(ofAddress, remote);
    if (fault === null) serve?.call(server, socket);
    else refuse(socket, fault);
  });

  function faultOf(ofAddress: number, remote: string): Fault | null {
    if (open > bounds.connectionsMax) {
      return { status: 503, detail: 'Too many connections are open here.', retryAfterSeconds: 1 };
    }
    if (ofAddress <= bounds.connectionsPerAddressMax || enforcer.trusts(remote)) return null;
    const detail = `At most ${counted(bounds.connectionsPerAddressMax, 'connection')} may be open from this address.`;
    return { status: 429, detail, retryAfterSeconds: 1 };
  }

  function refuse(socket: Socket, fault: Fault): void {
    onRefused();
    if (pendingRefusals >= pendingRefusalsMax) {
      socket.destroy();
      return;
    }
    pendingRefusals += 1;
    socket.once('close', () => (pendingRefusals -= 1));
    respondOnSocket(enforcer, entrypoint, socket, unknownRequest(enforcer, socket, fault));
  }

  function countClosed(address: string): void {
    open -= 1;
    const remaining = (byAddress.get(address) ?? 1) - 1;
    if (remaining === 0) byAddress.delete(address);
    else byAddress.set(address, remaining);
  }
}
