import { availableParallelism } from 'node:os'
import type { Remote, Thread } from '../os/thread.ts'
import { siblingModule, startThread } from '../os/thread.ts'
import type { CopyKeeper } from './thread/build-view.ts'
import type { StoreHandlers, StoreParent } from './thread/store-thread.ts'

/** More threads than this only wait for the same disk. */
const MAX_THREADS = 4

export interface StoreThreads extends AsyncDisposable {
  readonly size: number
  /** A number for a file to be sealed, by which `onHashed` is told how far it is. */
  watchHashing(onHashed: (bytes: number) => void): { readonly watch: number } & Disposable
  /** Runs `work` on the thread with the least to do and counts it there until it settles. */
  use<T>(work: (remote: Remote<StoreHandlers>) => Promise<T>): Promise<T>
  /** A thread for a piece of work of many calls; give it back with `release`. */
  acquire(): { readonly remote: Remote<StoreHandlers>; release: () => void }
}

export function startStoreThreads(directory: string, keeper: CopyKeeper): StoreThreads {
  const size = Math.min(MAX_THREADS, Math.max(2, availableParallelism()))
  const threads: { thread: Thread<StoreHandlers>; load: number }[] = []
  const watched = new Map<number, (bytes: number) => void>()
  let watches = 0
  const handlers: StoreParent = {
    ...keeper,
    hashed: (watch, bytes) => watched.get(watch)?.(bytes),
  }
  for (let n = 1; n <= size; n++)
    threads.push({
      load: 0,
      thread: startThread<StoreHandlers>(siblingModule(import.meta.url, 'thread/store-thread'), {
        name: `store-${n}`,
        handlers,
        data: { directory },
        // A store without its threads can promise nothing: the supervisor starts the daemon anew.
        onDeath: (error) => {
          throw error
        },
      }),
    })
  const leastLoaded = () => threads.reduce((best, one) => (one.load < best.load ? one : best))
  const acquire = () => {
    const chosen = leastLoaded()
    chosen.load += 1
    let held = true
    return {
      remote: chosen.thread.remote,
      release: () => {
        if (held) chosen.load -= 1
        held = false
      },
    }
  }
  return {
    size,
    acquire,
    watchHashing: (onHashed) => {
      const watch = watches++
      watched.set(watch, onHashed)
      return { watch, [Symbol.dispose]: () => void watched.delete(watch) }
    },
    use: async (work) => {
      const { remote, release } = acquire()
      try {
        return await work(remote)
      } finally {
        release()
      }
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(threads.map(({ thread }) => thread[Symbol.asyncDispose]()))
    },
  }
}
