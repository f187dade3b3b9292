import { type FetchContext, patienceOf, respectHost } from './fetch-context.ts'
import type { HeldAnswer } from './held-answer.ts'
import { fetchPiece } from './piece.ts'
import { type PiecePlan, piecePlan } from './piece-plan.ts'
import { rangeConnection } from './range-connection.ts'
import type { RangedFile } from './ranged-file.ts'
import { TransientFault } from './transient-fault.ts'

/** A finished piece lets one more connection be tried after so many. */
const PIECES_PER_NEW_CONNECTION = 8

/**
 * Fetches a file by ranges over several connections. Where a server takes fewer connections
 * than wanted, the others go on and more are tried again later.
 */
export async function fetchRanges(
  context: FetchContext,
  file: RangedFile,
  watch: (plan: Pick<PiecePlan, 'frontierBytes' | 'arrivedBytes'>) => void,
): Promise<void> {
  const { limits, slots } = context
  const plan = piecePlan(file.fromBytes, file.endBytes, limits, file.held?.first.endBytes)
  watch(plan)
  const stop = new AbortController()
  const signal = AbortSignal.any([file.signal, stop.signal])
  let url = file.held?.first.answer.url ?? file.url
  let width: number = limits.connectionsPerFile
  let workers = 0
  let failure: unknown
  const ended = Promise.withResolvers<void>()

  const start = (held?: HeldAnswer): void => {
    workers += 1
    void work(held)
      .catch((error: unknown) => {
        failure ??= error
        stop.abort(error)
      })
      .finally(() => {
        if (workers > 0) return
        if (failure === undefined && plan.isComplete()) ended.resolve()
        else ended.reject(failure instanceof Error ? failure : new Error('ranges are left over'))
      })
  }
  const widen = (): void => {
    if (failure !== undefined) return
    while (workers < Math.floor(width) && plan.hasFree()) start()
  }

  const work = async (held?: HeldAnswer): Promise<void> => {
    const attempts = patienceOf(context, signal)
    using connection = rangeConnection(context.origin.dial, limits.stallMs, signal)
    const source = { connection, signal, url, oddAnswers: 0 }
    try {
      for (let waiting = held; ; waiting = undefined) {
        const release =
          waiting?.release ?? (await slots.acquire(context.id, source.url.host, signal))
        const piece = plan.take(waiting === undefined ? file.limit.bytes : Infinity)
        if (piece === undefined) {
          release()
          if (!plan.hasFree()) return
          await file.limit.changed.wait(signal)
          continue
        }
        const from = piece.at
        try {
          await fetchPiece(context, file, source, piece, waiting?.first.answer)
          url = source.url
          plan.finish(piece)
          // All behind it may have arrived already: the frontier moved without a byte.
          file.written()
          attempts.progress()
          width = Math.min(limits.connectionsPerFile, width + 1 / PIECES_PER_NEW_CONNECTION)
          widen()
        } catch (error) {
          release()
          if (!(error instanceof TransientFault)) throw error
          const arrived = piece.at > from
          plan.giveBack(piece)
          file.limit.changed.fire()
          respectHost(context, source.url.host, error)
          if (arrived) attempts.progress()
          else if (workers > 1) {
            width = workers - 1
            return
          }
          await attempts.wait(error)
        } finally {
          release()
        }
      }
    } finally {
      // At once, so that of two that give up at the same time one sees that it is the last.
      workers -= 1
    }
  }
  const { held } = file
  file.signal.addEventListener('abort', () => held?.first.answer.discard(), { once: true })
  start(held)
  widen()
  return ended.promise
}
