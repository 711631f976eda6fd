import { freePort } from './free-port.ts';
import { PortTakenError } from './server-process.ts';

const attemptsMax = 5;

/**
 * Starts a server on the preferred port if it is free, otherwise on another. Between the choice of a port and the
 * moment at which the server listens, another program can take the port. The server then starts on another port.
 */
export async function onFreePort<Started>(
  preferred: number | undefined,
  start: (port: number) => Promise<Started>,
): Promise<Started> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(await freePort(preferred));
    } catch (error) {
      if (!(error instanceof PortTakenError) || attempt === attemptsMax) throw error;
    }
  }
}
