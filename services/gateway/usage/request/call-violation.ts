/** Why a request cannot be estimated. The caller decides whether it is refused. */
export interface CallViolation {
  readonly code:
    'not_json' | 'no_model' | 'contradictory_member' | 'unreadable_limit' | 'unreadable_coding' | 'too_large';
  readonly message: string;
}

export function notJson(): CallViolation {
  return { code: 'not_json', message: 'The body is not a JSON object.' };
}

export function unreadableLimit(): CallViolation {
  return { code: 'unreadable_limit', message: 'A limit of the output is not a number. Send an integer.' };
}

export function contradictoryMember(member: string): CallViolation {
  return {
    code: 'contradictory_member',
    message: `"${member}" occurs more than once, with different values. Send it once.`,
  };
}
