import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/cache/store.ts'
import { type CaptureProgress, captureTree } from '../../src/capture/capture-tree.ts'
import type { CheckpointId } from '../../src/model/ids.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { beginIngest } from '../support/store.ts'
import { digestOf } from './support/digest-of.ts'
import { setExtendedAttribute } from './support/extended-attribute.ts'
import { readTree } from './support/read-tree.ts'
import { useStore } from './support/use-store.ts'
import { viewPath } from './support/view-path.ts'

// An output that writers are kept away from by a read lease tells them so by this signal.
process.on('SIGIO', () => undefined)

const shared = useStore()
let outputs = 0

function makeOutput(): string {
  const root = join(shared.store.layout.staging, `output.job.${++outputs}`)
  mkdirSync(root)
  return root
}

async function capture(
  store: Store,
  root: string,
  id = beginIngest(store, { kind: 'capture' }).id,
) {
  const lines: string[] = []
  const progress: CaptureProgress[] = []
  const { leftOut } = await captureTree({
    ingest: store.openIngest(id, 'host'),
    threads: store.threads,
    root,
    log: (line) => lines.push(line),
    onProgress: (now) => progress.push({ ...now }),
    signal: new AbortController().signal,
  })
  await store.publisher.publish(id, 0)
  await store.removal.dropIngest(id)
  return { id, leftOut, lines, progress }
}

const objectOf = (store: Store, content: string): string =>
  store.layout.object({ domain: 'host', sha256: digestOf(content), executable: false, copy: 0 })

describe('capturing an output', () => {
  it('tells how far it is within a large file, too', async () => {
    const root = makeOutput()
    const sizeBytes = 100 * 1024 * 1024
    writeFileSync(join(root, 'large'), '')
    truncateSync(join(root, 'large'), sizeBytes)
    writeFileSync(join(root, 'small'), 'x')
    const { progress } = await capture(shared.store, root)
    expect(progress.at(-1)).toEqual({ filesDone: 2, bytesDone: sizeBytes + 1 })
    const within = progress.filter(({ bytesDone }) => bytesDone > 1 && bytesDone < sizeBytes)
    expect(within.length).toBeGreaterThan(3)
    const bytes = progress.map(({ bytesDone }) => bytesDone)
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b))
  })

  it('links its files into the store and copies no byte', async () => {
    const { store } = shared
    const root = makeOutput()
    mkdirSync(join(root, 'a/b'), { recursive: true })
    writeFileSync(join(root, 'a/b/result'), 'hours of work')
    writeFileSync(join(root, 'run.sh'), 'echo', { mode: 0o700 })
    writeFileSync(join(root, 'private'), 'mine', { mode: 0o600 })
    symlinkSync('a/b/result', join(root, 'latest'))
    mkdirSync(join(root, 'empty'))
    const { id, leftOut } = await capture(store, root)
    expect(leftOut).toBe(0)
    expect(readTree(await viewPath(store, id))).toEqual({
      'a/b/result': 'hours of work',
      'run.sh': { executable: 'echo' },
      private: 'mine',
      latest: { link: 'a/b/result' },
      empty: null,
    })
    expect(statSync(objectOf(store, 'hours of work')).ino).toBe(
      statSync(join(root, 'a/b/result')).ino,
    )
    await assertStoreInvariants(store)
  })

  it('of nothing at all is an empty checkpoint', async () => {
    const { store } = shared
    const { id } = await capture(store, makeOutput())
    expect(readTree(await viewPath(store, id))).toEqual({})
  })

  it('keeps a sparse file sparse', async () => {
    const { store } = shared
    const root = makeOutput()
    writeFileSync(join(root, 'sparse'), 'start')
    truncateSync(join(root, 'sparse'), 64 * 1024 * 1024)
    const { id } = await capture(store, root)
    const { blocks, size } = statSync(join(await viewPath(store, id), 'sparse'))
    expect(size).toBe(64 * 1024 * 1024)
    expect(blocks * 512).toBeLessThan(1024 * 1024)
  })

  it('takes two names of one file as two files of one content', async () => {
    const { store } = shared
    const root = makeOutput()
    writeFileSync(join(root, 'one'), 'hard linked')
    linkSync(join(root, 'one'), join(root, 'two'))
    const { id } = await capture(store, root)
    expect(readTree(await viewPath(store, id))).toEqual({ one: 'hard linked', two: 'hard linked' })
    expect(statSync(objectOf(store, 'hard linked')).ino).toBe(statSync(join(root, 'one')).ino)
  })

  it('copies a file that carries attributes, which no view may show', async () => {
    const { store } = shared
    const root = makeOutput()
    writeFileSync(join(root, 'labelled'), 'with a note')
    setExtendedAttribute(join(root, 'labelled'), 'note', 'secret')
    const { id } = await capture(store, root)
    expect(readTree(await viewPath(store, id))).toEqual({ labelled: 'with a note' })
    expect(statSync(objectOf(store, 'with a note')).ino).not.toBe(
      statSync(join(root, 'labelled')).ino,
    )
    await assertStoreInvariants(store)
  })

  it('knows a file that an earlier capture has linked', async () => {
    const { store } = shared
    const [first, second] = [makeOutput(), makeOutput()]
    writeFileSync(join(first, 'result'), 'twice captured')
    linkSync(join(first, 'result'), join(second, 'result'))
    const before = store.database.usage.getStore().objects
    const ids: CheckpointId[] = []
    for (const root of [first, second]) ids.push((await capture(store, root)).id)
    expect(store.database.usage.getStore().objects - before).toBe(1)
    for (const id of ids)
      expect(readTree(await viewPath(store, id))).toEqual({ result: 'twice captured' })
  })

  it('waits for a process that still writes, and goes on when it has ended', async () => {
    const { store } = shared
    const root = makeOutput()
    writeFileSync(join(root, 'done'), 'complete')
    const writer = spawn(
      'sh',
      ['-c', `exec 3>${join(root, 'log')}; echo begun >&3; echo ready; read line`],
      {
        stdio: ['pipe', 'pipe', 'ignore'],
      },
    )
    await once(writer.stdout, 'data')
    const { id } = beginIngest(store, { kind: 'capture' })
    await expect(capture(store, root, id)).rejects.toMatchObject({
      code: 'worker_running',
      message: expect.stringMatching(/log.*open for writing/) as string,
    })
    expect(store.database.checkpoints.find(id)?.status).toBe('downloading')
    writer.stdin.end('\n')
    await once(writer, 'exit')
    await capture(store, root, id)
    expect(readTree(await viewPath(store, id))).toEqual({ done: 'complete', log: 'begun\n' })
  })

  it('leaves out, counts and names what no checkpoint can hold, and keeps all the rest', async () => {
    const { store } = shared
    const root = makeOutput()
    writeFileSync(join(root, 'kept'), 'kept')
    execFileSync('mkfifo', [join(root, 'fifo')])
    execFileSync('mknod', [join(root, 'device'), 'c', '1', '3'])
    const server = createServer().listen(join(root, 'socket'))
    await once(server, 'listening')
    const odd = Buffer.concat([Buffer.from(`${root}/odd-`), Buffer.from([0xff, 0xfe])])
    closeSync(openSync(odd, 'w'))
    symlinkSync('/etc/passwd', join(root, 'absolute'))
    symlinkSync('../../secret', join(root, 'up'))
    mkdirSync(join(root, 'deep'))
    symlinkSync('../..', join(root, 'deep/out'))
    symlinkSync('deep/out', join(root, 'through'))
    symlinkSync('kept', join(root, 'inside'))
    const { id, leftOut, lines } = await capture(store, root)
    server.close()
    expect(readTree(await viewPath(store, id))).toEqual({
      kept: 'kept',
      deep: null,
      inside: { link: 'kept' },
    })
    expect(leftOut).toBe(8)
    for (const what of [
      'fifo is a FIFO',
      'socket is a socket',
      'device is a device',
      'odd-\\xff\\xfe',
      'absolute',
      'up',
      'deep/out',
      'through',
    ])
      expect(lines.join('\n')).toContain(what)
    await assertStoreInvariants(store)
  })

  it('names the first hundred of what it leaves out and counts the others', async () => {
    const { store } = shared
    const root = makeOutput()
    execFileSync(
      'mkfifo',
      Array.from({ length: 120 }, (_, n) => join(root, `fifo${n}`)),
    )
    const { leftOut, lines } = await capture(store, root)
    expect(leftOut).toBe(120)
    expect(lines).toHaveLength(101)
    expect(lines.at(-1)).toBe('Left out: 20 more entries')
  })
})
