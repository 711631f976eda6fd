/** The package has no types of its own. */
declare module 'lz4js' {
  export function compress(bytes: Buffer): Uint8Array;
}
