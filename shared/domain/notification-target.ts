/** Longest e-mail address that SMTP carries (RFC 5321). */
export const emailLengthMax = 254;
export const webAddressLengthMax = 2_000;

/**
 * Exactly one `@`, and a domain with at least two labels. Adjacent parts of the pattern match disjoint characters, so
 * matching takes linear time.
 */
const emailPattern = /^[^\s@<>,;]+@[^\s@<>,;.]+(?:\.[^\s@<>,;.]+)+$/;

export function isEmailAddress(text: string): boolean {
  return text.length <= emailLengthMax && emailPattern.test(text);
}

/**
 * Whether the text is an absolute http or https URL. A URL with a user or a password is rejected, because pages and
 * logs show the URL.
 */
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
