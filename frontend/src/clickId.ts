/**
 * The identity of a click: a UUID of version 7 (RFC 9562), which begins with the time, so that an index over them grows
 * at its end. `crypto.randomUUID` would make version 4, and does not exist on a page without TLS.
 */
export function newClickId(): string {
  const randomDigit = () => ((crypto.getRandomValues(new Uint8Array(1))[0] as number) % 16).toString(16);
  // Until the year 2527 the time has 11 hexadecimal digits. 7 is the version, 8 the variant.
  const pattern = `0${Date.now().toString(16)}-7xxx-8xxx-xxxxxxxxxxxx`;
  return pattern.replace(/.{4}-7/, "-$&").replace(/x/g, randomDigit);
}
