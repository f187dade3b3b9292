import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Store } from '../src/cache/store.ts'
import { captureTree } from '../src/capture/capture-tree.ts'
import type { CheckpointId } from '../src/model/ids.ts'
import type { Scratch } from '../test/support/scratch.ts'
import { beginIngest, openTestStore } from '../test/support/store.ts'
import { command } from './command.ts'
import { type Contender, compare } from './compare.ts'
import { emptyStore } from './empty-store.ts'
import { LARGE_TREE } from './sample-trees.ts'

/** Capture of 2 GiB, which hashes and links, beside OpenSSL hashing on all cores. */
export async function captureBench(place: Scratch): Promise<void> {
  await using store = await openTestStore(place.join('store'))
  await compare(
    {
      title: `capture of ${LARGE_TREE.title}`,
      target: 1.25,
      place,
      dataBytes: LARGE_TREE.dataBytes,
    },
    ckptd(place.join('store/staging/output.bench'), store),
    [openssl(place.join('hashed'))],
  )
}

function ckptd(output: string, store: Store): Contender {
  let captured: CheckpointId
  return {
    name: 'ckptd',
    prepare: () => LARGE_TREE.write(output),
    run: async () => {
      const { id, ingest } = beginIngest(store, { kind: 'capture' })
      captured = id
      await captureTree({
        ingest,
        threads: store.threads,
        root: output,
        log: () => undefined,
        onProgress: () => undefined,
        signal: new AbortController().signal,
      })
      await store.publisher.publish(id, Date.now())
    },
    cleanup: async () => {
      await emptyStore(store, captured)
      await command('rm', ['-r', output])
    },
  }
}

function openssl(tree: string): Contender {
  return {
    name: 'openssl on all cores',
    prepare: () => LARGE_TREE.write(tree),
    run: () =>
      command('sh', [
        '-c',
        'printf "%s\\0" "$@" | xargs -0 -n 1 -P "$(nproc)" openssl dgst -sha256',
        'sh',
        ...readdirSync(tree).map((name) => join(tree, name)),
      ]),
    cleanup: () => command('rm', ['-r', tree]),
  }
}
