import type { RelativePath } from '../../model/relative-path.ts'

/** Files on their way into the store, as many at once as keep its threads busy. */
export interface StoreQueue {
  /** Counts the storing of a file until it settles; its failure stops the extraction. */
  add(path: RelativePath, work: Promise<unknown>, bytes: number): void
  /** Resolves when a file that was added is stored; at once where it is not under way. */
  stored(path: RelativePath): Promise<unknown>
  /** Resolves when more may be added. */
  room(): Promise<void>
  /** Resolves when all succeeded; never where one failed, for then the extraction is stopped. */
  drained(): Promise<void>
  /** Resolves when all ended, one way or the other. */
  settled(): Promise<void>
}

/** A full batch of the object writer for each of two threads. */
const MAX_FILES = 1_024
/** Written and not stored yet: bounds how far the writing runs ahead of hash and disk. */
const MAX_BYTES = 256 * 1024 * 1024

export function storeQueue(onFailure: (error: Error) => void): StoreQueue {
  const storing = new Map<RelativePath, Promise<unknown>>()
  let waitingBytes = 0
  let failed = false
  let changed = Promise.withResolvers<void>()

  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await changed.promise
  }
  return {
    add: (path, work, bytes) => {
      storing.set(path, work)
      waitingBytes += bytes
      void work
        .catch((error: unknown) => {
          failed = true
          onFailure(error instanceof Error ? error : new Error(String(error)))
        })
        .finally(() => {
          storing.delete(path)
          waitingBytes -= bytes
          changed.resolve()
          changed = Promise.withResolvers()
        })
    },
    stored: (path) => storing.get(path) ?? Promise.resolve(),
    room: () => until(() => storing.size < MAX_FILES && waitingBytes < MAX_BYTES),
    drained: () => until(() => storing.size === 0 && !failed),
    settled: () => until(() => storing.size === 0),
  }
}
