// Goal: the sample API speaks the protocols of OpenAI and Anthropic as their official SDKs expect. The tests of budgets
// rely on that, because the real APIs cannot be called from a test.
import { afterAll, beforeAll } from 'vitest';
import { startSampleApi } from '../../support/sample-api.ts';
import type { SampleApi } from '../../support/sample-api.ts';
import { testSdks } from './matrix.ts';

let sample: SampleApi;
beforeAll(async () => {
  sample = await startSampleApi();
});
afterAll(() => sample.stop());

testSdks(() => ({ sample, target: { url: sample.url, credential: 'sk-sample' } }));
