import { CkptdError } from '../../model/errors.ts'
import { displayUri } from '../display-uri.ts'
import { parseContentRange } from './content-range.ts'
import { networkFault, statusFault } from './faults.ts'
import type { FetchContext } from './fetch-context.ts'
import { assertPlainBytes } from './first-answer.ts'
import type { Piece } from './piece-plan.ts'
import { comparePin, pinHeaders } from './pin.ts'
import type { RangeConnection } from './range-connection.ts'
import type { RangeHead } from './range-head.ts'
import { type RangedFile, RangesRefused } from './ranged-file.ts'
import { commonHeaders, type LocatedAnswer, request } from './request.ts'
import { longerThanTold, shorterThanTold } from './small-file.ts'

/** Statuses with which an address that was valid for a while answers afterwards. */
const EXPIRED_STATUSES = new Set([401, 403, 404, 410])

const MAX_ODD_ANSWERS = 3

/** How pieces of a file are asked for. */
export interface PieceSource {
  /** Where redirects led to so far; it is found anew when it has expired. */
  url: URL
  readonly connection: RangeConnection
  /** Answers that only the general client could read; after some, it asks in the first place. */
  oddAnswers: number
  readonly signal: AbortSignal
}

/**
 * Fetches one range; `piece.at` moves with every byte that was written, also when it fails. The
 * usual answer comes over the range connection; whatever else it is, the general client asks
 * again and tells what is the matter.
 */
export async function fetchPiece(
  context: FetchContext,
  file: RangedFile,
  source: PieceSource,
  piece: Piece,
  held?: LocatedAnswer,
): Promise<void> {
  if (held !== undefined) await drainInto(context, file, piece, held)
  while (piece.at < piece.end) {
    const { oddAnswers } = source
    if (oddAnswers < MAX_ODD_ANSWERS && (await fetchDirectly(context, file, source, piece)))
      continue
    await drainInto(context, file, piece, await ask(context, file, source, piece))
    source.oddAnswers = oddAnswers + 1
  }
}

/** False where the answer is not the usual one; then nothing was taken from it. */
async function fetchDirectly(
  context: FetchContext,
  file: RangedFile,
  { url, connection }: PieceSource,
  piece: Piece,
): Promise<boolean> {
  try {
    return await connection.fetch({
      url,
      headers: { ...commonHeaders(context.origin, url), ...rangeHeaders(file, piece) },
      admit: (head) => isUsual(file, piece, head),
      sink: (bytes) => write(context, file, piece, bytes),
    })
  } catch (error) {
    throw networkFault(error, displayUri(url))
  }
}

function isUsual(file: RangedFile, piece: Piece, { headers, lengthBytes }: RangeHead): boolean {
  const range = parseContentRange(headers['content-range'])
  return (
    range !== undefined &&
    range.start === piece.at &&
    range.end <= piece.end &&
    range.end - range.start === lengthBytes &&
    range.totalBytes === file.sizeBytes &&
    headers['content-encoding'] === undefined &&
    comparePin(file.pin, headers) === 'same'
  )
}

async function drainInto(
  context: FetchContext,
  file: RangedFile,
  piece: Piece,
  answer: LocatedAnswer,
): Promise<void> {
  const end = checkedEnd(file, piece, answer)
  const where = displayUri(answer.url)
  try {
    await answer.drain((chunk) => {
      if (piece.at + chunk.length > end) throw longerThanTold(where)
      write(context, file, piece, chunk)
    })
  } catch (error) {
    throw networkFault(error, where)
  }
  if (piece.at < end) throw shorterThanTold(where)
}

function write(context: FetchContext, file: RangedFile, piece: Piece, bytes: Buffer): void {
  file.target.write(bytes, piece.at)
  piece.at += bytes.length
  context.receivedBytes += bytes.length
  file.written()
}

function rangeHeaders(file: RangedFile, piece: Piece): Record<string, string> {
  return { range: `bytes=${piece.at}-${piece.end - 1}`, ...pinHeaders(file.pin) }
}

async function ask(
  context: FetchContext,
  file: RangedFile,
  source: PieceSource,
  piece: Piece,
): Promise<LocatedAnswer> {
  const headers = rangeHeaders(file, piece)
  const answer = await request(context.origin, source.url, headers, source.signal)
  if (source.url.href === file.url.href || !EXPIRED_STATUSES.has(answer.status)) {
    if (answer.status === 206) source.url = answer.url
    return answer
  }
  answer.discard()
  source.url = file.url
  return request(context.origin, file.url, headers, source.signal)
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
  const isBody = status === 200 || status === 206
  if (status === 412 || status === 416 || (isBody && compared === 'other'))
    refuse(
      new CkptdError('origin_changed', `${where} changed while it was fetched`, {
        details: { status },
      }),
    )
  if (!isBody) refuse(statusFault(status, headers, where))
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
