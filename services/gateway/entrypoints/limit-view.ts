import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { LimitState } from '../../../shared/domain/limit.ts';

/** How an answer shows a limit and how it stands. */
export const limitViewSchema = Type.Object({
  name: Type.String(),
  limit: Type.Number({ description: 'Units per window.' }),
  remaining: Type.Number({ description: 'Units left.' }),
  reset: Type.Integer({ description: 'Unix seconds at which the whole limit is available again.' }),
  window_seconds: Type.Integer({ description: '0 for limits of what runs at once.' }),
  mode: Type.String({ description: 'enforce, or shadow (decides and records, never refuses).' }),
  exceeded: Type.Boolean({ description: 'No room for the cost asked for.' }),
});

export type LimitView = Static<typeof limitViewSchema>;

export function limitViews(states: readonly LimitState[]): LimitView[] {
  return states.map(({ name, limit, remaining, resetAtMs, windowMs, mode, violated }) => ({
    name,
    limit,
    remaining,
    reset: Math.ceil(resetAtMs / 1000),
    window_seconds: Math.ceil(windowMs / 1000),
    mode,
    exceeded: violated,
  }));
}
