import type { ErrorBody } from '../../agent-protocol/checkpoint.ts'
import { CommandError, fromErrorBody } from '../command-error.ts'
import type { Clock } from '../io.ts'

/**
 * How long a daemon that went away is waited for: a restart takes seconds, an upgrade with a
 * recovery of a large store minutes.
 */
const PATIENCE_MS = 300_000
const RETRY_MS = 1_000

export interface Patience {
  readonly clock: Clock
  readonly signal?: AbortSignal
  /** Told once each time the waiting begins. */
  readonly onLost: (error: CommandError) => void
}

function isUnreachable(error: unknown): error is CommandError {
  return error instanceof CommandError && error.exit === 'unreachable'
}

/** Does it again while the daemon is not reachable; gives up, with its error, after a while. */
export async function retryUnreachable<T>(
  attempt: () => Promise<T>,
  { clock, signal, onLost }: Patience,
): Promise<T> {
  let lostAt: number | undefined
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!isUnreachable(error)) throw error
      if (lostAt === undefined) onLost(error)
      lostAt ??= clock.now()
      if (clock.now() - lostAt >= PATIENCE_MS) throw error
      await clock.sleep(RETRY_MS, signal)
    }
  }
}

interface StreamEvent {
  readonly type: string
  /** Of an event of the type "error". */
  readonly error?: ErrorBody
}

/**
 * A stream that survives a restart of the daemon: asked for again when it breaks off before its
 * last event, or ends with an error that only says that the daemon is going down. A daemon that
 * is not there at the very first attempt is an error at once.
 */
export async function* persistentStream<T extends StreamEvent>(
  open: () => AsyncGenerator<T, void, undefined>,
  isLast: (event: T) => boolean,
  patience: Patience,
): AsyncGenerator<T, void, undefined> {
  let events = open()
  let next = await events.next()
  for (;;) {
    try {
      while (next.done !== true) {
        throwIfPassing(next.value)
        yield next.value
        if (isLast(next.value)) return
        next = await events.next()
      }
      // A daemon that is stopped ends its streams in order.
      patience.onLost(new CommandError('unreachable', 'the daemon ended the stream'))
    } catch (error) {
      if (!isUnreachable(error)) throw error
      patience.onLost(error)
    } finally {
      await events.return()
    }
    const reopen = async (): Promise<IteratorResult<T, void>> => {
      events = open()
      return events.next()
    }
    await patience.clock.sleep(RETRY_MS, patience.signal)
    next = await retryUnreachable(reopen, { ...patience, onLost: () => undefined })
  }
}

function throwIfPassing(event: StreamEvent): void {
  if (event.error === undefined) return
  const error = fromErrorBody(event.error)
  if (isUnreachable(error)) throw error
}
