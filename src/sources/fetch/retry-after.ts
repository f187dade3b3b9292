const IMF_DATE = /^[A-Za-z]{3}, \d{2} [A-Za-z]{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** How long a `Retry-After` header asks to wait, in milliseconds; undefined where it is none. */
export function parseRetryAfter(text: string | undefined, nowMs: number): number | undefined {
  const value = text?.trim() ?? ''
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const at = parseHttpDate(value)
  return at === undefined ? undefined : Math.max(0, at - nowMs)
}

/** An HTTP date (only the form that servers must send) in milliseconds since 1970. */
export function parseHttpDate(text: string | undefined): number | undefined {
  if (text === undefined || !IMF_DATE.test(text)) return undefined
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : at
}
