import { CkptdError } from '../../model/errors.ts'
import { displayUri } from '../display-uri.ts'
import { statusFault } from './faults.ts'
import { type FetchContext, logLine, patienceOf, respectHost } from './fetch-context.ts'
import { comparePin, type Pin } from './pin.ts'
import { request } from './request.ts'
import { TransientFault } from './transient-fault.ts'

export interface PinnedFile {
  readonly url: URL
  readonly pin: Pin
  /** Whether a part of it may be asked for. */
  readonly ranged: boolean
}

/**
 * Asks once more, when all bytes are there, whether the file is still the pinned version. A
 * server that has a file open sends what is in it at that moment: where it is overwritten in
 * place, an answer that began as the old version goes on with the bytes of the new one.
 */
export async function confirmPin(context: FetchContext, file: PinnedFile): Promise<void> {
  const { pin, url } = file
  if (pin.kind === 'none') return
  const attempts = patienceOf(context)
  for (;;) {
    const release = await context.slots.acquire(context.id, url.host, context.signal)
    try {
      await ask(context, file)
      return
    } catch (error) {
      release()
      if (!(error instanceof TransientFault)) throw error
      respectHost(context, url.host, error)
      await attempts.wait(error)
    } finally {
      release()
    }
  }
}

/** Any answer but these says nothing against the version. */
const GONE_STATUSES = new Set([404, 410, 412])
/** An address that was good for one download only. */
const SPENT_STATUSES = new Set([401, 403])

async function ask(context: FetchContext, { pin, ranged, url }: PinnedFile): Promise<void> {
  const condition: Record<string, string> =
    pin.kind === 'etag'
      ? { 'if-none-match': pin.etag }
      : pin.kind === 'modified'
        ? { 'if-modified-since': pin.at }
        : {}
  if (ranged) condition['range'] = 'bytes=0-0'
  const answer = await request(context.origin, url, condition, context.signal)
  const { status, headers } = answer
  answer.discard()
  const where = displayUri(url)
  if (status === 304) return
  if (status === 200 || status === 206) {
    if (comparePin(pin, headers) !== 'other') return
  } else if (SPENT_STATUSES.has(status)) {
    logLine(
      context,
      `${where}: the server no longer tells whether the file is the same (${status})`,
    )
    return
  } else if (!GONE_STATUSES.has(status)) throw statusFault(status, headers, where)
  throw new CkptdError('origin_changed', `${where} changed while it was fetched`, {
    details: { status },
  })
}
