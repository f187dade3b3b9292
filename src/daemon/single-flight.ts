import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Work that outlives whoever asked for it: the first to ask starts it, later ones join, and
 * hanging up cancels nothing.
 */
export interface SingleFlight<T> {
  join(key: string, start: () => Promise<T>): Promise<T>
  has(key: string): boolean
  /** Resolves when nothing is under way any more. */
  settle(): Promise<void>
}

export function singleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Promise<T>>()
  return {
    join: (key, start) => {
      const existing = flights.get(key)
      if (existing !== undefined) return existing
      const flight = start().finally(() => flights.delete(key))
      flights.set(key, flight)
      // Nobody may be listening any more when it fails; whoever asks again is told.
      flight.catch(() => undefined)
      return flight
    },
    has: (key) => flights.has(key),
    settle: async () => {
      await Promise.allSettled(flights.values())
    },
  }
}

/**
 * Waits for a promise, but no longer than `ms`; undefined when the time is up. Rejects with the
 * signal's reason as soon as that is aborted.
 */
export async function within<T>(
  promise: Promise<T>,
  ms: number,
  signal: AbortSignal,
): Promise<T | undefined> {
  const over = new AbortController()
  const timeout = sleep(ms, undefined, { signal: AbortSignal.any([signal, over.signal]) })
  try {
    return await Promise.race([promise, timeout])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    over.abort()
  }
}
