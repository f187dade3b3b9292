import type { Headers } from './exchange.ts'

/** The beginning of an answer on a connection that carries ranges only. */
export interface RangeHead {
  readonly headers: Headers
  /** Bytes of the body. */
  readonly lengthBytes: number
  /** Whether another request may follow on the same connection. */
  readonly reusable: boolean
}

/** A head that is longer is none that this reads, in bytes. */
export const MAX_HEAD_BYTES = 16 * 1024

/**
 * Reads the one form of answer that a range is normally given: HTTP/1.1, 206, a length, no
 * transfer coding. Undefined for everything else, and for whatever is written in a way that two
 * readers could understand differently: then another, complete reader asks again.
 */
export function parseRangeHead(text: string): RangeHead | undefined {
  const [statusLine = '', ...lines] = text.split('\r\n')
  if (!/^HTTP\/1\.1 206(?: [\x20-\x7e\x80-\xff]*)?$/.test(statusLine)) return undefined
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\x20-\x7e\x80-\xff\t]*)$/.exec(line)
    if (match === null) return undefined
    const name = (match[1] ?? '').toLowerCase()
    if (ONCE.has(name) && Object.hasOwn(headers, name)) return undefined
    headers[name] ??= (match[2] ?? '').trim()
  }
  const { 'content-length': length, 'transfer-encoding': coding, connection = '' } = headers
  if (coding !== undefined || length === undefined || !/^\d{1,15}$/.test(length)) return undefined
  const reusable = !/\b(?:close|upgrade)\b/i.test(connection)
  return { headers, lengthBytes: Number(length), reusable }
}

const ONCE = new Set([
  'content-length',
  'content-range',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'etag',
  'last-modified',
])
