// A child process of the crash tests: one of everything that the store does. What it has
// acknowledged stands in a file that the parent reads, whatever happens to this process.
import { appendFileSync, openSync, writeSync } from 'node:fs'
import { parseCheckpointId } from '../../src/model/ids.ts'
import { parseRelativePath } from '../../src/model/relative-path.ts'
import {
  beginIngest,
  openTestStore,
  publishTree,
  storeTree,
  type TreeSpec,
} from '../support/store.ts'

const [, , directory = '', acknowledged = ''] = process.argv

/** 60 small files of different content in nested directories, an empty one, links, modes. */
function tree(seed: string): TreeSpec {
  const spec: Record<string, TreeSpec[string]> = {
    'empty.txt': '',
    'an/empty/directory': null,
    link: { link: 'dir1/file1' },
    'run.sh': { executable: `#!/bin/sh\necho ${seed}\n` },
    shared: 'the same in every tree',
  }
  for (let i = 0; i < 60; i++) spec[`dir${i % 7}/file${i}`] = `${seed} ${i} `.repeat(200 + i)
  return spec
}

async function large(store: Awaited<ReturnType<typeof openTestStore>>): Promise<string> {
  const { id, ingest } = beginIngest(store, { name: 'large' })
  const path = parseRelativePath('weights.bin')
  const piece = Buffer.alloc(4 * 1024 * 1024, 'weights ')
  ingest.planFiles([{ path, sizeBytes: piece.length * 3, plan: null }])
  const file = await ingest.openFile('weights.bin', 'v1')
  const fd = openSync(file.path, 'r+')
  for (let at = file.durableBytes; at < piece.length * 3; at += piece.length) {
    writeSync(fd, piece, 0, piece.length, at)
    await file.advance(at + piece.length)
    const durable = await file.flush()
    appendFileSync(acknowledged, `durable ${id} ${durable}\n`)
  }
  const knownSha256 = await file.finish(piece.length * 3)
  await file[Symbol.asyncDispose]()
  await ingest.storeOpened({
    path,
    file: file.path,
    executable: false,
    sizeBytes: piece.length * 3,
    key: 'weights.bin',
    knownSha256,
  })
  await store.publisher.publish(id, Date.now())
  await store.removal.dropIngest(id)
  return id
}

const store = await openTestStore(directory)
const first = await publishTree(store, tree('first'), { name: 'first' })
appendFileSync(acknowledged, `ready ${first}\n`)
const second = await publishTree(store, tree('second'), { name: 'second' })
appendFileSync(acknowledged, `ready ${second}\n`)
appendFileSync(acknowledged, `ready ${await large(store)}\n`)

appendFileSync(acknowledged, `removing ${first}\n`)
store.database.checkpoints.setStatus(parseCheckpointId(first), 'removing')
await store.database.flush()
appendFileSync(acknowledged, `removed ${first}\n`)
await store.removal.finish(parseCheckpointId(first))

// One that is never finished: a restart finds it half-filled.
const { ingest } = beginIngest(store, { name: 'unfinished' })
await storeTree(ingest, tree('unfinished'))
await store.database.flush()
process.exit(0)
