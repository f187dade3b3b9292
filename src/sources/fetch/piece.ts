import { CkptdError } from '../../model/errors.ts'
import { displayUri } from '../display-uri.ts'
import { parseContentRange } from './content-range.ts'
import { networkFault, statusFault } from './faults.ts'
import type { FetchContext } from './fetch-context.ts'
import { assertPlainBytes } from './first-answer.ts'
import type { Piece } from './piece-plan.ts'
import { comparePin, pinHeaders } from './pin.ts'
import { type RangedFile, RangesRefused } from './ranged-file.ts'
import { type LocatedAnswer, request } from './request.ts'
import { longerThanTold, shorterThanTold } from './small-file.ts'

/** Statuses with which an address that was valid for a while answers afterwards. */
const EXPIRED_STATUSES = new Set([401, 403, 404, 410])

/**
 * Fetches one range; `piece.at` moves with every byte that was written, also when it fails.
 * `location` is where redirects led to so far; it is found anew when it has expired.
 */
export async function fetchPiece(
  context: FetchContext,
  file: RangedFile,
  location: { url: URL },
  piece: Piece,
  held: LocatedAnswer | undefined,
  signal: AbortSignal,
): Promise<void> {
  let waiting = held
  while (piece.at < piece.end) {
    const answer = waiting ?? (await ask(context, file, location, piece, signal))
    waiting = undefined
    const end = checkedEnd(file, piece, answer)
    const where = displayUri(answer.url)
    try {
      await answer.drain((chunk) => {
        if (piece.at + chunk.length > end) throw longerThanTold(where)
        file.target.write(chunk, piece.at)
        piece.at += chunk.length
        context.receivedBytes += chunk.length
      })
    } catch (error) {
      throw networkFault(error, where)
    }
    if (piece.at < end) throw shorterThanTold(where)
  }
}

async function ask(
  context: FetchContext,
  file: RangedFile,
  location: { url: URL },
  piece: Piece,
  signal: AbortSignal,
): Promise<LocatedAnswer> {
  const headers = { range: `bytes=${piece.at}-${piece.end - 1}`, ...pinHeaders(file.pin) }
  const answer = await request(context.origin, location.url, headers, signal)
  if (location.url.href === file.url.href || !EXPIRED_STATUSES.has(answer.status)) {
    if (answer.status === 206) location.url = answer.url
    return answer
  }
  answer.discard()
  location.url = file.url
  return request(context.origin, file.url, headers, signal)
}

/** Where the range that an answer holds ends; throws where it is not what was asked for. */
function checkedEnd(file: RangedFile, piece: Piece, answer: LocatedAnswer): number {
  const { status, headers } = answer
  const where = displayUri(answer.url)
  const refuse = (error: Error): never => {
    answer.discard()
    throw error
  }
  const compared = comparePin(file.pin, headers)
  if (
    status === 412 ||
    status === 416 ||
    ((status === 200 || status === 206) && compared === 'other')
  )
    refuse(
      new CkptdError('origin_changed', `${where} changed while it was fetched`, {
        details: { status },
      }),
    )
  if (status !== 200 && status !== 206) refuse(statusFault(status, headers, where))
  assertPlainBytes(answer)
  const ranges = (why: string): never =>
    refuse(new RangesRefused(new CkptdError('origin_error', `${where}: ${why}`)))
  if (status === 200) ranges('the server sends the whole file where a part was asked for')
  if (compared === 'unknown') ranges('the server does not say of which version a part is')
  const range = parseContentRange(headers['content-range'])
  if (range === undefined || range.start !== piece.at || range.end > piece.end)
    return ranges('the server sends another part than was asked for')
  if (range.totalBytes !== undefined && range.totalBytes !== file.sizeBytes)
    refuse(new CkptdError('origin_changed', `${where} changed its size while it was fetched`))
  return range.end
}
