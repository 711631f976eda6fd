import { errors } from 'jose';
import type { JwtPolicy } from '../domain/policy.ts';
import { badCredential } from './credential-reading.ts';
import type { CredentialRejection } from './credential-reading.ts';

/** Explains to the holder why a token was refused. */
export function explainToken(error: unknown, policy: JwtPolicy): CredentialRejection {
  if (error instanceof errors.JWTExpired) return badCredential('The token has expired; obtain a new one.');
  if (error instanceof errors.JWTClaimValidationFailed) return badCredential(explainClaim(error, policy));
  if (error instanceof errors.JOSEAlgNotAllowed) {
    const accepted = policy.algorithms.join(', ');
    return badCredential(`The token's algorithm is not accepted; accepted: ${accepted}.`);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return badCredential("The token's signature does not verify.");
  if (error instanceof errors.JWKSNoMatchingKey) return badCredential('The token names an unknown key.');
  if (error instanceof errors.JOSENotSupported)
    return badCredential('The token uses a JOSE extension (crit) that is not supported.');
  return badCredential('The token cannot be read as a JWT.');
}

function explainClaim({ claim }: errors.JWTClaimValidationFailed, policy: JwtPolicy): string {
  switch (claim) {
    case 'iss':
      return `The token's issuer (iss) is not ${policy.issuer ?? 'accepted'}.`;
    case 'aud':
      return `The token's audience (aud) is not ${policy.audience ?? 'accepted'}.`;
    case 'nbf':
      return 'The token is not valid yet (nbf).';
    default:
      return `The token's claim "${claim}" is missing or wrong.`;
  }
}
