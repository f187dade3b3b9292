import { CkptdError, toErrorRecord } from '../../model/errors.ts'
import { arrivalAt } from '../archive/arrival.ts'
import { displayUri } from '../display-uri.ts'
import { confirmPin } from './confirm-pin.ts'
import { networkFault } from './faults.ts'
import { type FetchContext, patienceOf, respectHost } from './fetch-context.ts'
import { firstAnswer } from './first-answer.ts'
import type { HeldAnswer } from './held-answer.ts'
import type { LargeHead, LargeRequest, LargeResult } from './messages.ts'
import type { PiecePlan } from './piece-plan.ts'
import { pulse } from './pulse.ts'
import { type FetchLimit, RangesRefused } from './ranged-file.ts'
import { fetchRanges } from './ranges.ts'
import { longerThanTold, shorterThanTold } from './small-file.ts'
import { openStagingTarget } from './staging-target.ts'
import { TransientFault } from './transient-fault.ts'

/** A large file under way, for reports. */
export interface LargeFetch {
  frontierBytes(): number
  arrivedBytes(): number
  setLimit(bytes: number): void
  stop(): void
}

/** Asks for the beginning of a file until an answer pins it. */
export async function openLarge(
  context: FetchContext,
  id: number,
  href: string,
  plain: boolean,
): Promise<{ head: LargeHead; held: HeldAnswer }> {
  const url = context.urlOf(href)
  const attempts = patienceOf(context)
  for (;;) {
    const release = await context.slots.acquire(context.id, url.host, context.signal)
    try {
      const first = await firstAnswer(context, url, { signal: context.signal, plain })
      const { pin, sizeBytes, answer } = first
      const endUnknown =
        sizeBytes === undefined && answer.headers['transfer-encoding'] === undefined
      const ranged = first.kind === 'ranged'
      return { head: { id, pin, sizeBytes, ranged, endUnknown }, held: { first, release } }
    } catch (error) {
      release()
      if (!(error instanceof TransientFault)) throw error
      respectHost(context, url.host, error)
      await attempts.wait(error)
    }
  }
}

/** Fetches a file that `openLarge` pinned, or that an earlier run pinned, into its staging file. */
export async function fetchLarge(
  context: FetchContext,
  request: LargeRequest,
  held: HeldAnswer | undefined,
  register: (fetch: LargeFetch) => void,
): Promise<LargeResult> {
  const limit = { bytes: request.limitBytes, changed: pulse() }
  using target = openStagingTarget(request.path, { create: false })
  const stop = new AbortController()
  const nothing = (): number => request.fromBytes
  let plan: Pick<PiecePlan, 'frontierBytes' | 'arrivedBytes'> = {
    frontierBytes: nothing,
    arrivedBytes: nothing,
  }
  register({
    stop: () => stop.abort(new CkptdError('cancelled', 'the fetching was stopped')),
    frontierBytes: () => plan.frontierBytes(),
    arrivedBytes: () => plan.arrivedBytes(),
    setLimit: (bytes) => {
      if (bytes <= limit.bytes) return
      limit.bytes = bytes
      limit.changed.fire()
    },
  })
  const usable = request.fromBytes === 0 ? held : undefined
  if (usable === undefined) {
    held?.first.answer.discard()
    held?.release()
  }
  const { part, pin, sizeBytes } = request
  const url = context.urlOf(request.href)
  try {
    if (request.ranged && sizeBytes !== undefined && pin.kind !== 'none') {
      const { fromBytes } = request
      const endBytes = part?.endBytes ?? sizeBytes
      const arrival = part && arrivalAt(part.arrival)
      const written = (): void => arrival?.reach(plan.frontierBytes())
      const signal = AbortSignal.any([context.signal, stop.signal])
      const file = {
        url,
        pin,
        sizeBytes,
        fromBytes,
        endBytes,
        target,
        limit,
        held: usable,
        written,
        signal,
      }
      await fetchRanges(context, file, (ranges) => {
        plan = ranges
      })
      written()
      // A part is confirmed by whoever puts it together with others.
      if (part !== undefined) return { kind: 'whole', sizeBytes }
      await confirmPin(context, { url, pin, ranged: true })
      return { kind: 'whole', sizeBytes }
    }
    if (usable === undefined)
      throw new CkptdError('internal', 'a file without ranges has no answer to read')
    let at = 0
    plan = { frontierBytes: () => at, arrivedBytes: () => at }
    await drainWhole(context, usable, limit, (chunk) => {
      target.write(chunk, at)
      at += chunk.length
      context.receivedBytes += chunk.length
    })
    await confirmPin(context, { url, pin, ranged: false })
    return { kind: 'whole', sizeBytes: at }
  } catch (error) {
    if (stop.signal.aborted) throw stop.signal.reason
    if (error instanceof RangesRefused)
      return { kind: 'restart', plain: true, error: toErrorRecord(error.error) }
    if (error instanceof TransientFault)
      return { kind: 'restart', plain: !request.ranged, error: toErrorRecord(error.error) }
    throw error
  }
}

/** Reads one body to its end, and waits where it gets too far ahead. */
async function drainWhole(
  context: FetchContext,
  { first: { answer, sizeBytes }, release }: HeldAnswer,
  limit: FetchLimit,
  write: (chunk: Buffer) => void,
): Promise<void> {
  const where = displayUri(answer.url)
  let received = 0
  try {
    await answer.drain((chunk) => {
      received += chunk.length
      if (sizeBytes !== undefined && received > sizeBytes) throw longerThanTold(where)
      write(chunk)
      if (received >= limit.bytes) {
        answer.pause()
        void limit.changed.wait(context.signal).then(
          () => answer.resume(),
          () => undefined,
        )
      }
    })
  } catch (error) {
    throw networkFault(error, where)
  } finally {
    release()
  }
  if (sizeBytes !== undefined && received !== sizeBytes) throw shorterThanTold(where)
}
