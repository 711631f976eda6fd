/** Where a notification may go, as a tenant or an operator writes it. */

/** Longest e-mail address that SMTP carries (RFC 5321). */
export const emailLengthMax = 254;
export const webAddressLengthMax = 2_000;

/** One `@`, and a domain of at least two labels. No two parts of the pattern take the same character: time is linear. */
const emailPattern = /^[^\s@<>,;]+@[^\s@<>,;.]+(?:\.[^\s@<>,;.]+)+$/;

export function isEmailAddress(text: string): boolean {
  return text.length <= emailLengthMax && emailPattern.test(text);
}

/** An absolute http or https address without a user or password: it would be shown wherever the address is. */
export function isWebAddress(text: string): boolean {
  if (text.length > webAddressLengthMax) return false;
  const url = URL.parse(text);
  return (
    url !== null &&
    (url.protocol === 'https:' || url.protocol === 'http:') &&
    url.username === '' &&
    url.password === ''
  );
}
