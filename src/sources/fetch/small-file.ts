import { CkptdError, toErrorRecord } from '../../model/errors.ts'
import { unlinkIfPresentSync } from '../../os/durable.ts'
import { displayUri } from '../display-uri.ts'
import { networkFault } from './faults.ts'
import { type FetchContext, patienceOf, respectHost } from './fetch-context.ts'
import { type FirstAnswer, firstAnswer } from './first-answer.ts'
import type { SmallFile, SmallResult } from './messages.ts'
import { comparePin, type Pin } from './pin.ts'
import { openStagingTarget } from './staging-target.ts'
import { TransientFault } from './transient-fault.ts'

/**
 * Fetches a file with one request into a staging file of its own. Never rejects: a failure is
 * a result, so that the other files of its batch are not lost.
 */
export async function fetchSmallFile(context: FetchContext, file: SmallFile): Promise<SmallResult> {
  const attempts = patienceOf(context)
  const url = context.urlOf(file.href)
  let pinned: Pin | undefined
  try {
    for (;;)
      try {
        return await attempt(context, url, file.path, (first) => {
          if (pinned !== undefined && comparePin(pinned, first.answer.headers) === 'other')
            throw new CkptdError(
              'origin_changed',
              `${displayUri(url)} changed while it was fetched`,
            )
          pinned = first.pin
        })
      } catch (error) {
        unlinkIfPresentSync(file.path)
        if (!(error instanceof TransientFault)) throw error
        respectHost(context, url.host, error)
        await attempts.wait(error)
      }
  } catch (error) {
    return { kind: 'failed', error: toErrorRecord(error) }
  }
}

async function attempt(
  context: FetchContext,
  url: URL,
  path: string,
  check: (first: FirstAnswer) => void,
): Promise<SmallResult> {
  const release = await context.slots.acquire(context.id, url.host, context.signal)
  try {
    const first = await firstAnswer(context, url, context)
    check(first)
    if (first.kind === 'ranged' || (first.kind === 'stream' && first.sizeBytes !== undefined)) {
      first.answer.discard()
      return { kind: 'large' }
    }
    return await writeWhole(context, first, path)
  } finally {
    release()
  }
}

/** Thrown inside, where a file of unknown length turns out to be large. */
class TooLong extends Error {}

async function writeWhole(
  context: FetchContext,
  { answer, sizeBytes }: FirstAnswer,
  path: string,
): Promise<SmallResult> {
  const where = displayUri(answer.url)
  using target = openStagingTarget(path, { create: true })
  let at = 0
  try {
    await answer.drain((chunk) => {
      if (at + chunk.length > (sizeBytes ?? context.limits.smallFileBytes)) throw new TooLong()
      target.write(chunk, at)
      at += chunk.length
      context.receivedBytes += chunk.length
    })
  } catch (error) {
    if (!(error instanceof TooLong)) throw networkFault(error, where)
    if (sizeBytes === undefined) {
      unlinkIfPresentSync(path)
      return { kind: 'large' }
    }
    throw longerThanTold(where)
  }
  if (sizeBytes !== undefined && at !== sizeBytes) throw shorterThanTold(where)
  return { kind: 'whole', sizeBytes: at }
}

export function shorterThanTold(where: string): TransientFault {
  return new TransientFault(
    new CkptdError('origin_error', `${where}: the answer ends before all of its bytes are there`),
  )
}

export function longerThanTold(where: string): TransientFault {
  return new TransientFault(
    new CkptdError('origin_error', `${where}: the answer has more bytes than it says`),
  )
}
