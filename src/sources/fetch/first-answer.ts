import { CkptdError } from '../../model/errors.ts'
import { displayUri } from '../display-uri.ts'
import { parseContentRange } from './content-range.ts'
import type { Headers } from './exchange.ts'
import { statusFault } from './faults.ts'
import type { FetchContext } from './fetch-context.ts'
import { type Pin, pinOf } from './pin.ts'
import { type LocatedAnswer, request } from './request.ts'

/**
 * The answer that pins a file. `whole`: its body is the file and short. `ranged`: its body is
 * the file's beginning, and the rest can be asked for in the same version. `stream`: its body
 * is the file, long or of unknown length.
 */
export interface FirstAnswer {
  readonly kind: 'whole' | 'ranged' | 'stream'
  readonly answer: LocatedAnswer
  readonly pin: Pin
  readonly sizeBytes: number | undefined
  /** Where its body ends. */
  readonly endBytes: number | undefined
}

/**
 * Asks for the beginning of a file, and plainly where the server cannot answer that with a
 * beginning of a version that can be told from others.
 */
export async function firstAnswer(
  context: FetchContext,
  url: URL,
  options: { signal: AbortSignal; plain?: boolean },
): Promise<FirstAnswer> {
  if (options.plain !== true) {
    const range = `bytes=0-${context.limits.smallFileBytes - 1}`
    const answer = await request(context.origin, url, { range }, options.signal)
    const first = answer.status === 416 ? undefined : classify(answer, context)
    if (first !== undefined) return first
    answer.discard()
  }
  const answer = await request(context.origin, url, {}, options.signal)
  const first = answer.status === 206 ? undefined : classify(answer, context)
  if (first !== undefined) return first
  answer.discard()
  throw new CkptdError(
    'origin_error',
    `${displayUri(url)}: the server answers with a part where the whole was asked for`,
  )
}

function classify(answer: LocatedAnswer, { limits }: FetchContext): FirstAnswer | undefined {
  const { status, headers } = answer
  const where = displayUri(answer.url)
  if (status !== 200 && status !== 206) {
    answer.discard()
    throw statusFault(status, headers, where)
  }
  assertPlainBytes(answer)
  const pin = pinOf(headers)
  if (status === 200) {
    const sizeBytes = contentLength(headers)
    const short = sizeBytes !== undefined && sizeBytes <= limits.smallFileBytes
    return { kind: short ? 'whole' : 'stream', answer, pin, sizeBytes, endBytes: sizeBytes }
  }
  const range = parseContentRange(headers['content-range'])
  if (range === undefined || range.start !== 0 || range.totalBytes === undefined) return undefined
  const { end: endBytes, totalBytes: sizeBytes } = range
  if (endBytes === sizeBytes && sizeBytes <= limits.smallFileBytes)
    return { kind: 'whole', answer, pin, sizeBytes, endBytes }
  return pin.kind === 'none' ? undefined : { kind: 'ranged', answer, pin, sizeBytes, endBytes }
}

/**
 * Bytes that a server has encoded on the way are not the file. The exception is a file that is
 * itself compressed, whose own compression some servers declare as if it were theirs.
 */
export function assertPlainBytes(answer: LocatedAnswer): void {
  const encoding = answer.headers['content-encoding']?.trim().toLowerCase() ?? 'identity'
  if (encoding === 'identity' || encoding === '') return
  if (/^(?:x-)?gzip$/.test(encoding) && /\.t?gz$/i.test(answer.url.pathname)) return
  answer.discard()
  throw new CkptdError(
    'origin_error',
    `${displayUri(answer.url)}: the server insists on encoding the bytes (${encoding.slice(0, 40)}) though the plain ones were asked for`,
  )
}

export function contentLength(headers: Headers): number | undefined {
  const text = headers['content-length']
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
