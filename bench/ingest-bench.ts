import { execFileSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { copyFile, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ingest } from '../src/cache/ingest.ts'
import type { Store } from '../src/cache/store.ts'
import { parseRelativePath } from '../src/model/relative-path.ts'
import { makeScratch } from '../test/support/scratch.ts'
import { beginIngest, openTestStore } from '../test/support/store.ts'
import { compare } from './compare.ts'
import { writeLargeTree, writeSmallTree } from './sample-trees.ts'

/** Files of this size and more are written piece by piece, hashed and flushed meanwhile. */
const LARGE = 16 * 1024 * 1024
const PIECE = 4 * 1024 * 1024

/** The store, filled by copying a tree through the ingest seam, beside `cp -a` and a flush. */
export async function ingestBench(): Promise<void> {
  await using scratch = makeScratch('bench-ingest')
  await using store = await openTestStore(scratch.join('store'))
  for (const [title, write, target] of [
    ['ingest of 2 GiB in 8 files', writeLargeTree, 0.7],
    ['ingest of 20,000 small files', writeSmallTree, 0.8],
  ] as const) {
    const source = scratch.join(`source-${target}`)
    write(source)
    let round = 0
    await compare(title, target, [
      { name: 'ckptd', run: () => ingestTree(source, store) },
      {
        name: 'cp -a + sync',
        run: () => {
          const copy = scratch.join(`copy-${target}-${round++}`)
          execFileSync('cp', ['-a', source, copy])
          execFileSync('sync', ['-f', copy])
        },
      },
    ])
  }
}

async function ingestTree(source: string, store: Store): Promise<void> {
  const { id, ingest } = beginIngest(store)
  const names = readdirSync(source, { recursive: true, encoding: 'utf8' })
  const files = names.flatMap((name) => {
    const stat = statSync(join(source, name))
    return stat.isFile() ? [{ name, sizeBytes: stat.size }] : []
  })
  ingest.planFiles(
    files.map(({ name, sizeBytes }) => ({ path: parseRelativePath(name), sizeBytes, plan: null })),
  )
  const queue = [...files]
  const stored: Promise<unknown>[] = []
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift())
        if (file.sizeBytes >= LARGE) await ingestLarge(ingest, join(source, file.name), file)
        else {
          const put = await copySmall(ingest, join(source, file.name), file)
          stored.push(put())
        }
    }),
  )
  await Promise.all(stored)
  await store.publisher.publish(id, Date.now())
  await store.removal.dropIngest(id)
}

async function copySmall(ingest: Ingest, from: string, file: { name: string; sizeBytes: number }) {
  const to = join(ingest.directory, ingest.newStagingName())
  await copyFile(from, to)
  const path = parseRelativePath(file.name)
  return () => ingest.storeFile({ path, file: to, executable: false, sizeBytes: file.sizeBytes })
}

async function ingestLarge(
  ingest: Ingest,
  from: string,
  { name, sizeBytes }: { name: string; sizeBytes: number },
): Promise<void> {
  const path = parseRelativePath(name)
  const opened = await ingest.openFile(name, 'v1')
  await using input = await open(from, 'r')
  await using output = await open(opened.path, 'r+')
  const piece = Buffer.allocUnsafe(PIECE)
  let hashing: Promise<void> = Promise.resolve()
  for (let at = 0; at < sizeBytes; at += PIECE) {
    const { bytesRead } = await input.read(piece, 0, PIECE, at)
    await output.write(piece, 0, bytesRead, at)
    await hashing
    hashing = opened.advance(at + bytesRead)
  }
  await hashing
  const knownSha256 = await opened.finish(sizeBytes)
  await opened[Symbol.asyncDispose]()
  await ingest.storeOpened({
    path,
    file: opened.path,
    executable: false,
    sizeBytes,
    key: name,
    knownSha256,
  })
}
