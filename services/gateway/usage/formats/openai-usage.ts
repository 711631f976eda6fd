import type { ReportedFigures } from '../figures/judge-report.ts';
import { figures } from './select.ts';

/** The report of OpenAI's chat completions, completions and embeddings. Cached tokens are a part of the prompt. */
export const openaiUsage = figures({
  input: '/usage/prompt_tokens',
  output: '/usage/completion_tokens',
  total: '/usage/total_tokens',
  cached: '/usage/prompt_tokens_details/cached_tokens',
});

export const openaiFigures: ReadonlySet<string> = new Set(['input', 'output', 'total', 'cached']);

export function openaiReport(reported: ReadonlyMap<string, number>): ReportedFigures {
  return {
    input: reported.get('input'),
    output: reported.get('output'),
    cached: reported.get('cached'),
    cacheWrite: undefined,
    total: reported.get('total'),
  };
}
