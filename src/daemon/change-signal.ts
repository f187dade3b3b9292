/** Wakes everybody who waits for news of something; a wake-up says nothing but "look again". */
export interface ChangeSignal {
  notify(): void
  /** Resolves at the next `notify`, after `timeoutMs`, or when the signal is aborted. */
  wait(options: { timeoutMs?: number; signal?: AbortSignal }): Promise<void>
}

export function changeSignal(): ChangeSignal {
  let waiting = new Set<() => void>()
  return {
    notify: () => {
      const woken = waiting
      waiting = new Set()
      for (const wake of woken) wake()
    },
    wait: ({ timeoutMs, signal }) =>
      new Promise((resolve) => {
        const done = (): void => {
          waiting.delete(done)
          clearTimeout(timer)
          signal?.removeEventListener('abort', done)
          resolve()
        }
        const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs)
        waiting.add(done)
        if (signal?.aborted) return done()
        signal?.addEventListener('abort', done)
      }),
  }
}
