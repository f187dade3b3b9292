import type { Headers } from './exchange.ts'
import { parseHttpDate } from './retry-after.ts'

/**
 * What ties bytes fetched at different times to one version of a file: a strong entity tag, or
 * a time of modification that is old enough to be one (RFC 9110, 8.8.2.2).
 */
export type Pin =
  | { readonly kind: 'etag'; readonly etag: string }
  | { readonly kind: 'modified'; readonly at: string }
  | { readonly kind: 'none'; readonly why: string }

/** A file may change twice within the second that its time of modification tells; be generous. */
const SETTLED_MS = 60_000

export function pinOf(headers: Headers): Pin {
  const { etag, 'last-modified': modified, date } = headers
  if (etag !== undefined) {
    if (/^"[\x21\x23-\x7e\x80-\uffff]*"$/.test(etag)) return { kind: 'etag', etag }
    return { kind: 'none', why: 'its entity tag is weak' }
  }
  const modifiedMs = parseHttpDate(modified)
  if (modified === undefined || modifiedMs === undefined)
    return { kind: 'none', why: 'it tells neither an entity tag nor a time of modification' }
  const dateMs = parseHttpDate(date)
  if (dateMs === undefined) return { kind: 'none', why: 'it does not tell the time' }
  if (dateMs - modifiedMs < SETTLED_MS)
    return { kind: 'none', why: 'the file was modified less than a minute ago' }
  return { kind: 'modified', at: modified }
}

/** Request headers with which a server answers with bytes of the pinned version or not at all. */
export function pinHeaders(pin: Pin): Record<string, string> {
  if (pin.kind === 'etag') return { 'if-match': pin.etag, 'if-range': pin.etag }
  if (pin.kind === 'modified') return { 'if-unmodified-since': pin.at, 'if-range': pin.at }
  return {}
}

/** Whether an answer is of the pinned version. `unknown`: it does not say. */
export function comparePin(pin: Pin, headers: Headers): 'same' | 'other' | 'unknown' {
  if (pin.kind === 'none') return 'unknown'
  const told = pin.kind === 'etag' ? headers['etag'] : headers['last-modified']
  if (told === undefined) return 'unknown'
  return told === (pin.kind === 'etag' ? pin.etag : pin.at) ? 'same' : 'other'
}
