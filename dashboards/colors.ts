/** One colour a decision, on every dashboard. */
export const decisionColors = {
  allowed: 'green',
  limited: 'red',
  bypassed: 'blue',
  shadow_limited: 'orange',
} as const;
