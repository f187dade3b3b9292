import { CkptdError } from '../model/errors.ts'
import { type Connection, openConnection } from './connection.ts'
import type { Logger } from './logger.ts'
import type { Answer, MountVerb, Params } from './protocol.ts'

const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 2000

type Calls = {
  readonly [V in MountVerb]: (params: Params<V>) => Promise<Answer<V>>
}

/**
 * The daemon's way to the mount helper. Every verb may be asked again after a lost connection:
 * the helper then goes on, joins what is under way, or answers the same.
 */
export interface MountClient extends Calls, AsyncDisposable {
  availability():
    | { readonly available: true }
    | { readonly available: false; readonly reason: string }
  /** Resolves when a helper is connected; rejects when the signal fires or the client is disposed. */
  untilAvailable(signal?: AbortSignal): Promise<void>
}

/** Connects in the background, and again whenever the helper went away. */
export function connectMountd(options: {
  readonly socketPath: string
  readonly log: Logger
  /** Called at each connection: the moment to compare what is mounted with what should be. */
  readonly onAvailable?: () => void
}): MountClient {
  const { socketPath, log } = options
  const disposal = new AbortController()
  const waiters = new Set<() => void>()
  let connection: Connection | undefined
  let ready: Connection | undefined
  let reason = `the mount helper at ${socketPath} is not connected yet`
  let retryMs = FIRST_RETRY_MS
  let retry: NodeJS.Timeout | undefined

  const open = (): void => {
    const opened = openConnection({
      socketPath,
      onReady: () => {
        ready = opened
        retryMs = FIRST_RETRY_MS
        log.info({ socketPath }, 'the mount helper is connected')
        for (const wake of waiters) wake()
        waiters.clear()
        options.onAvailable?.()
      },
      onEnd: (why) => {
        if (ready !== undefined || why !== reason)
          log.warn({ socketPath, reason: why }, 'no mount helper')
        ready = undefined
        reason = why
        if (disposal.signal.aborted) return
        retry = setTimeout(open, retryMs)
        retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
      },
    })
    connection = opened
  }
  open()

  const call =
    <V extends MountVerb>(verb: V) =>
    (params: Params<V>): Promise<Answer<V>> =>
      ready === undefined
        ? Promise.reject(new CkptdError('mounts_unavailable', reason))
        : ready.call(verb, params)

  return {
    mountWorker: call('mountWorker'),
    releaseWorker: call('releaseWorker'),
    writeCdi: call('writeCdi'),
    list: call('list'),
    handOverOutput: call('handOverOutput'),
    discardOutput: call('discardOutput'),
    availability: () => (ready === undefined ? { available: false, reason } : { available: true }),
    untilAvailable: (signal) => {
      const given = AbortSignal.any([disposal.signal, ...(signal === undefined ? [] : [signal])])
      return new Promise((resolve, reject) => {
        const stop = (): void => {
          waiters.delete(resolve)
          reject(new CkptdError('mounts_unavailable', reason))
        }
        if (given.aborted) stop()
        else if (ready !== undefined) resolve()
        else {
          waiters.add(resolve)
          given.addEventListener('abort', stop, { once: true })
        }
      })
    },
    [Symbol.asyncDispose]: () => {
      reason = 'the daemon is stopping'
      disposal.abort()
      clearTimeout(retry)
      connection?.close()
      return Promise.resolve()
    },
  }
}
