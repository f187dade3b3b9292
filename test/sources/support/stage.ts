import { createHash, randomBytes } from 'node:crypto'
import type { Store } from '../../../src/cache/store.ts'
import { createFetcher, type Fetcher, type FetcherOptions } from '../../../src/sources/fetcher.ts'
import { makeScratch, type Scratch } from '../../support/scratch.ts'
import { openTestStore } from '../../support/store.ts'

/** A store and a fetcher that may connect to this machine, with short patience. */
export interface Stage extends AsyncDisposable {
  readonly scratch: Scratch
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

export async function openStage(options: Partial<FetcherOptions> = {}): Promise<Stage> {
  const scratch = makeScratch('sources')
  const store = await openTestStore(scratch.join('data'))
  const fetcher = createFetcher({ ...QUICK, ...options })
  return {
    scratch,
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
