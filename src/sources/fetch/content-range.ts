/** What a partial answer holds: the bytes `start` to `end` (exclusive) of `totalBytes`. */
export interface ContentRange {
  readonly start: number
  readonly end: number
  /** Undefined where the server does not tell. */
  readonly totalBytes: number | undefined
}

const CONTENT_RANGE = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i

/** Undefined where the header is absent, malformed, or contradicts itself. */
export function parseContentRange(text: string | undefined): ContentRange | undefined {
  const match = CONTENT_RANGE.exec(text?.trim() ?? '')
  if (match === null) return undefined
  const start = Number(match[1])
  const end = Number(match[2]) + 1
  const totalBytes = match[3] === '*' ? undefined : Number(match[3])
  if (![start, end, totalBytes ?? 0].every(Number.isSafeInteger)) return undefined
  if (end <= start || (totalBytes !== undefined && end > totalBytes)) return undefined
  return { start, end, totalBytes }
}
