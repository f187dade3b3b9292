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

/** Waits for a promise, but no longer than `ms`; undefined when the time is up. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}
