import { afterAll, beforeAll } from 'vitest'
import type { Store } from '../../../src/cache/store.ts'
import { makeScratch, type Scratch } from '../../support/scratch.ts'
import { openTestStore } from '../../support/store.ts'

/** One store for the tests of a file that do not mind what others put into it. */
export function useStore(): { readonly store: Store } {
  let scratch: Scratch | undefined
  let store: Store | undefined
  beforeAll(async () => {
    scratch = makeScratch('store')
    store = await openTestStore(scratch.join('data'))
  })
  afterAll(async () => {
    await store?.[Symbol.asyncDispose]()
    await scratch?.[Symbol.asyncDispose]()
  })
  return {
    get store() {
      if (store === undefined) throw new Error('the store is opened before the first test')
      return store
    },
  }
}
