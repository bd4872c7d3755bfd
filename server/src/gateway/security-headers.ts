// Header fields that every answer carries, and the content policies of the three kinds of pages.

/** For JSON and for bytes: nothing may run, load, or frame it. */
export const dataHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
}

/** Only our own files run in the dashboard; it talks to its own origin; object URLs and frames of it show previews. */
export const dashboardPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "frame-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Pages that we render ourselves: one style sheet, known by its hash, and no script at all. */
export const renderedPagePolicy = (styleSha256Base64: string): string =>
  `default-src 'none'; style-src 'sha256-${styleSha256Base64}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

/** Told only over TLS, where a browser may believe it. */
export const strictTransport = 'max-age=31536000; includeSubDomains'
