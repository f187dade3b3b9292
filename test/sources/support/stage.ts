import { createHash, randomBytes } from 'node:crypto'
import type { Store } from '../../../src/cache/store.ts'
import { createFetcher, type Fetcher, type FetcherOptions } from '../../../src/sources/fetcher.ts'
import { makeLoopImage } from '../../support/loop-image.ts'
import { makeScratch, type Scratch } from '../../support/scratch.ts'
import { openTestStore } from '../../support/store.ts'

/** A store and a fetcher that may connect to this machine, with short patience. */
export interface Stage extends AsyncDisposable {
  readonly scratch: Scratch
  readonly dataDirectory: string
  readonly store: Store
  readonly fetcher: Fetcher
}

export const QUICK: FetcherOptions = {
  allowNetworks: ['127.0.0.0/8'],
  backoffMs: 20,
  maxBackoffMs: 100,
  attempts: 4,
  stallMs: 900,
  connectMs: 2000,
}

/** `dataDirectoryMb`: the store lies on a filesystem of its own, of so many megabytes. */
export async function openStage({
  dataDirectoryMb,
  ...options
}: Partial<FetcherOptions> & { dataDirectoryMb?: number } = {}): Promise<Stage> {
  const scratch = makeScratch('sources')
  const dataDirectory = scratch.join('data')
  // Whatever is mounted below a scratch directory goes with it.
  if (dataDirectoryMb !== undefined)
    makeLoopImage(scratch.join('image'), dataDirectory, { sizeMb: dataDirectoryMb })
  const store = await openTestStore(dataDirectory)
  const fetcher = createFetcher({ ...QUICK, ...options })
  return {
    scratch,
    dataDirectory,
    store,
    fetcher,
    [Symbol.asyncDispose]: async () => {
      await fetcher[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
      await scratch[Symbol.asyncDispose]()
    },
  }
}

export const MiB = 1024 * 1024

export function bytesOf(size: number): Buffer {
  return randomBytes(size)
}

export function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}
