import { join } from 'node:path'
import type { Ingest } from '../src/cache/ingest.ts'
import type { Store } from '../src/cache/store.ts'
import type { WalkedEntry } from '../src/cache/thread/walk.ts'
import type { CheckpointId } from '../src/model/ids.ts'
import type { Scratch } from '../test/support/scratch.ts'
import { beginIngest, openTestStore } from '../test/support/store.ts'
import { command } from './command.ts'
import { type Contender, compare } from './compare.ts'
import { emptyStore } from './empty-store.ts'
import { LARGE_TREE, SMALL_TREE } from './sample-trees.ts'
import { takenOver } from './taken-over.ts'

/** A tree taken over by link, and one that is copied, beside `cp -a` and a flush. */
export async function ingestBench(place: Scratch): Promise<void> {
  await using store = await openTestStore(place.join('store'))
  for (const { tree, target } of [
    { tree: LARGE_TREE, target: 0.7 },
    { tree: SMALL_TREE, target: 0.8 },
  ]) {
    const source = place.join(tree.name)
    tree.write(source)
    const row = { target, place, dataBytes: tree.dataBytes }
    const others = [copy(source, place.join('copy'))]
    await compare(
      { ...row, title: `ingest of ${tree.title}, taken over by link` },
      takenOver(tree, store),
      others,
    )
    await compare(
      { ...row, title: `ingest of ${tree.title}, copied` },
      copied(source, store),
      others,
    )
    await command('rm', ['-r', source])
  }
}

function copied(source: string, store: Store): Contender {
  let stored: CheckpointId
  return {
    name: 'ckptd',
    run: async () => {
      const { id, ingest } = beginIngest(store)
      stored = id
      await ingestTree(source, ingest, store)
      await store.publisher.publish(id, Date.now())
      await store.removal.dropIngest(id)
    },
    cleanup: () => emptyStore(store, stored),
  }
}

function copy(source: string, to: string): Contender {
  return {
    name: 'cp -a, sync -f',
    run: async () => {
      await command('cp', ['-a', source, to])
      await command('sync', ['-f', to])
    },
    cleanup: () => command('rm', ['-r', to]),
  }
}

/** Pages on their way into the store at once: two batches for each of its threads. */
const pagesUnderWay = (store: Store): number => 2 * store.threads.size

async function ingestTree(source: string, ingest: Ingest, store: Store): Promise<void> {
  const pages = walk(source, store)
  const storePages = async (): Promise<void> => {
    for await (const page of pages) {
      const files = page.filter((entry) => entry.kind === 'file')
      ingest.planFiles(files.map(({ path, sizeBytes }) => ({ path, sizeBytes, plan: null })))
      await Promise.all(
        files.map(({ path, sizeBytes, executable }) =>
          ingest.storeCopy({ path, sizeBytes, executable, file: join(source, path) }),
        ),
      )
    }
  }
  await Promise.all(Array.from({ length: pagesUnderWay(store) }, storePages))
}

/** A tree's entries, some hundreds at a time. */
async function* walk(root: string, store: Store): AsyncGenerator<WalkedEntry[]> {
  const { remote, release } = store.threads.acquire()
  try {
    const id = await remote.walkOpen(root)
    for (;;) {
      const page = await remote.walkNext(id)
      if (page.length === 0) return
      yield page
    }
  } finally {
    release()
  }
}
