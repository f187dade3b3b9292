import type { Store } from '../../../src/cache/store.ts'

/** Counts the files of each batch that is hashed, checked and flushed from now on. */
export function watchSealing(store: Store): { stop(): number[] } {
  const { threads } = store
  const acquire = threads.acquire.bind(threads)
  const batches: number[] = []
  threads.acquire = () => {
    const held = acquire()
    return {
      ...held,
      remote: new Proxy(held.remote, {
        get: (remote, name) => {
          if (name !== 'sealFiles') return Reflect.get(remote, name) as unknown
          return (...[requests, ownDirtyBytes]: Parameters<typeof remote.sealFiles>) => {
            batches.push(requests.length)
            return remote.sealFiles(requests, ownDirtyBytes)
          }
        },
      }),
    }
  }
  return {
    stop: () => {
      threads.acquire = acquire
      return batches
    },
  }
}
