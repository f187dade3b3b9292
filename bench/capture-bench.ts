import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { captureTree } from '../src/capture/capture-tree.ts'
import { makeScratch } from '../test/support/scratch.ts'
import { beginIngest, openTestStore } from '../test/support/store.ts'
import { compare } from './compare.ts'
import { writeLargeTree } from './sample-trees.ts'

/** Capture of 2 GiB, which hashes and links, beside OpenSSL hashing on all cores. */
export async function captureBench(): Promise<void> {
  await using scratch = makeScratch('bench-capture')
  const source = scratch.join('data/staging/output.bench')
  const directory = scratch.join('data')
  await using store = await openTestStore(directory)
  await compare('capture of 2 GiB in 8 files', 1.25, [
    {
      name: 'ckptd',
      prepare: () => {
        execFileSync('rm', ['-rf', source])
        writeLargeTree(source)
      },
      run: async () => {
        const { id, ingest } = beginIngest(store, { kind: 'capture' })
        await captureTree({
          ingest,
          threads: store.threads,
          root: source,
          log: () => undefined,
          onProgress: () => undefined,
          signal: new AbortController().signal,
        })
        await store.publisher.publish(id, Date.now())
      },
    },
    {
      name: 'openssl on all cores',
      run: () => {
        const files = readdirSync(source).map((name) => join(source, name))
        execFileSync('sh', [
          '-c',
          'printf "%s\\0" "$@" | xargs -0 -n 1 -P "$(nproc)" openssl dgst -sha256 > /dev/null',
          'sh',
          ...files,
        ])
      },
    },
  ])
}
