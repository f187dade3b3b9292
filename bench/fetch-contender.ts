import type { TestDaemon } from '../test/support/daemon.ts'
import type { Contender } from './compare.ts'
import { beginFetch, removeFetched, untilReady } from './fetched-checkpoint.ts'

/** ckptd, asked over its socket to fetch an address; after each run its store is empty again. */
export function fetchContender(daemon: TestDaemon, url: string): Contender {
  let id = ''
  return {
    name: 'ckptd',
    run: async () => {
      id = await beginFetch(daemon, 'bench', url)
      await untilReady(daemon, id)
    },
    cleanup: () => removeFetched(daemon, id, 0),
  }
}
