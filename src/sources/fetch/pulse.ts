/** Wakes everybody who waits. */
export interface Pulse {
  fire(): void
  /** Resolves at the next `fire`. */
  wait(signal: AbortSignal): Promise<void>
}

export function pulse(): Pulse {
  const waiting = new Set<() => void>()
  return {
    fire: () => {
      for (const wake of waiting) wake()
      waiting.clear()
    },
    wait: (signal) => {
      if (signal.aborted) return Promise.reject(signal.reason as Error)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const wake = (): void => {
        signal.removeEventListener('abort', stop)
        resolve()
      }
      const stop = (): void => {
        waiting.delete(wake)
        reject(signal.reason)
      }
      signal.addEventListener('abort', stop, { once: true })
      waiting.add(wake)
      return promise
    },
  }
}
