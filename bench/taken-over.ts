import { join } from 'node:path'
import type { Store } from '../src/cache/store.ts'
import { captureTree } from '../src/capture/capture-tree.ts'
import type { CheckpointId } from '../src/model/ids.ts'
import { beginIngest } from '../test/support/store.ts'
import { command } from './command.ts'
import type { Contender } from './compare.ts'
import { emptyStore } from './empty-store.ts'
import type { SampleTree } from './sample-trees.ts'

/** ckptd, given a tree as a job's output is: hashed where it is, linked, durable and published. */
export function takenOver(tree: SampleTree, store: Store): Contender {
  const root = join(store.layout.staging, 'output.bench')
  let captured: CheckpointId
  return {
    name: 'ckptd',
    prepare: () => tree.write(root),
    run: async () => {
      const { id, ingest } = beginIngest(store, { kind: 'capture' })
      captured = id
      await captureTree({
        ingest,
        threads: store.threads,
        root,
        log: () => undefined,
        onProgress: () => undefined,
        signal: new AbortController().signal,
      })
      await store.publisher.publish(id, Date.now())
    },
    cleanup: async () => {
      await emptyStore(store, captured)
      await command('rm', ['-r', root])
    },
  }
}
