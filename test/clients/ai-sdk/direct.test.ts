// Goal: the sample API speaks the protocols of OpenAI and Anthropic as their official SDKs expect. The tests of budgets
// rely on that, because the real APIs cannot be called from a test.
import { request } from 'node:http';
import { createGunzip } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startSampleApi } from '../../support/sample-api.ts';
import type { SampleApi } from '../../support/sample-api.ts';
import { eventually } from '../../support/servers.ts';
import { uniqueModel } from './clients.ts';
import { testSdks } from './matrix.ts';

let sample: SampleApi;
beforeAll(async () => {
  sample = await startSampleApi();
});
afterAll(() => sample.stop());

testSdks(() => ({ sample, target: { url: sample.url, credential: 'sk-sample' } }));

test.each(['identity', 'gzip'])(
  'an application that disconnects at the last event has received the complete response (%s)',
  async (coding) => {
    const callsPerEnd = 100;
    const model = uniqueModel();
    for (const [switches, lastText] of [
      ['tokens=9, fail-after=3', 'The server had an error'],
      ['tokens=3', '[DONE]'],
    ] as const)
      for (let call = 0; call < callsPerEnd; call++) await leaveAt(lastText, { model, switches, coding });
    const outcomes = await eventually(async () => {
      const calls = await sample.calls({ model });
      return calls.some(({ outcome }) => outcome === 'open') ? null : calls.map(({ outcome }) => outcome);
    });
    expect(outcomes).toEqual(Array.from({ length: 2 * callsPerEnd }, () => 'delivered'));
  },
);

/** Streams a chat completion, and destroys the connection in the moment in which the text arrives. */
function leaveAt(
  text: string,
  { model, switches, coding }: { readonly model: string; readonly switches: string; readonly coding: string },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'x-sample': switches, 'accept-encoding': coding };
    const call = request(`${sample.url}/v1/chat/completions`, { method: 'POST', headers }, (response) => {
      const body = coding === 'gzip' ? response.pipe(createGunzip()) : response;
      let received = '';
      body.on('data', (bytes: Buffer) => {
        received += bytes.toString();
        if (!received.includes(text)) return;
        call.destroy();
        resolve();
      });
      body.on('end', () => reject(new Error(`the response ended without ${text}: ${received}`)));
    });
    call.on('error', reject);
    call.end(JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Hello' }] }));
  });
}
