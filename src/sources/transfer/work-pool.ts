/** Runs pieces of work, some at a time. */
export interface WorkPool {
  /** Resolves when the work has begun; waits while too much is under way. */
  start(work: () => Promise<void>): Promise<void>
  /** Resolves when all work has ended, with the first failure if there was one. */
  drained(): Promise<void>
}

export function workPool(limit: number): WorkPool {
  const running = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | undefined
  const rethrow = (): void => {
    if (failure !== undefined) throw failure.error
  }
  return {
    start: async (work) => {
      while (running.size >= limit) await Promise.race(running)
      rethrow()
      const done = work()
        .catch((error: unknown) => {
          failure ??= { error }
        })
        .finally(() => running.delete(done))
      running.add(done)
    },
    drained: async () => {
      await Promise.all(running)
      rethrow()
    },
  }
}
