// What the store does with the disk, one step at a time, so that a test can make it fail.
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ingest } from '../../../src/cache/ingest.ts'
import type { Store } from '../../../src/cache/store.ts'
import type { CheckpointId } from '../../../src/model/ids.ts'
import { parseRelativePath } from '../../../src/model/relative-path.ts'
import { until } from '../../support/daemon.ts'
import { beginIngest, publishTree, storeTree, type TreeSpec } from '../../support/store.ts'
import { digestOf } from './digest-of.ts'
import { setExtendedAttribute } from './extended-attribute.ts'

/** A step that is about to be taken, and the system calls that can make it fail. */
export interface FaultStep {
  readonly calls: string
  /** Only calls on these paths are to fail; all of them where there are none. */
  readonly paths: readonly string[]
  /** Takes the step as its caller would; after a failure it may be taken again. */
  readonly attempt: () => Promise<void>
  /** The checkpoint that it is about. */
  readonly checkpointId?: CheckpointId
}

export type StepName = keyof typeof STEPS

export const TREE: TreeSpec = { 'weights.bin': 'the weights', 'config/model.json': '{}' }
const WRITES = 'write,pwrite64,writev,pwritev'

export const STEPS = {
  'manifest-open': (store) => publishing(store, 'openat', (id) => stagedManifest(store, id)),
  'manifest-write': (store) => publishing(store, WRITES, (id) => stagedManifest(store, id)),
  'manifest-flush': (store) => publishing(store, 'fdatasync', (id) => stagedManifest(store, id)),
  'manifest-rename': (store) => publishing(store, 'rename', (id) => stagedManifest(store, id)),
  'sidecar-write': (store) => publishing(store, WRITES, (id) => stagedSidecar(store, id)),
  'sidecar-flush': (store) => publishing(store, 'fdatasync', (id) => stagedSidecar(store, id)),
  'sidecar-rename': (store) => publishing(store, 'rename', (id) => stagedSidecar(store, id)),

  'file-open': (store) => storing(store, 'openat', ({ file }) => [file]),
  'file-flush': (store) => storing(store, 'fsync', ({ file }) => [file]),
  'batch-flush': (store) => storingMany(store),
  'object-rename': (store) => storing(store, 'rename', ({ file }) => [file]),
  'objects-flush': (store) => storing(store, 'fsync', () => [join(store.layout.objects, 'host')]),
  'objects-open': (store) => storing(store, 'openat', () => [join(store.layout.objects, 'host')]),
  'duplicate-unlink': async (store) => {
    await publishTree(store, { other: CONTENT }, { name: 'other' })
    return storing(store, 'unlink', ({ file }) => [file])
  },
  'finish-flush': (store) =>
    Promise.resolve({
      calls: 'syncfs',
      paths: [],
      attempt: () => store.threads.use((remote) => remote.flushForeignWrites()),
    }),
  'progress-flush': (store) => flushingProgress(store),
  'output-link': (store) => capturing(store, 'link', ({ file }) => [file]),
  'output-copy': (store) =>
    capturing(
      store,
      'copy_file_range,sendfile',
      () => [],
      ({ file }) => setExtendedAttribute(file, 'note', 'x'),
    ),

  'view-mkdir': (store) => viewing(store, 'mkdir'),
  'view-link': (store) => viewing(store, 'link', [objectOf(store, 'the weights')]),
  'view-flush': (store) => viewing(store, 'fsync', [join(store.layout.views, 'host')]),
  'large-view-flush': (store) => viewing(store, 'syncfs', [], manyDirectories()),
  'view-rename': (store) => viewing(store, 'rename'),

  'staging-mkdir': async (store) => {
    const { id } = beginIngest(store)
    await store.threads.use((remote) => remote.removeTree(store.layout.ingest(id)))
    const attempt = async (): Promise<void> => {
      await storeTree(store.openIngest(id, 'host'), TREE)
    }
    return { calls: 'mkdir', paths: [store.layout.ingest(id)], checkpointId: id, attempt }
  },
  'domain-mkdir': (store) =>
    Promise.resolve({
      calls: 'mkdir',
      paths: [join(store.layout.objects, 'project-new')],
      // oxlint-disable-next-line typescript/require-await -- a throw is to become a rejection
      attempt: async () => store.ensureDomain('project-new'),
    }),

  'object-unlink': (store) => removing(store, 'unlink', [objectOf(store, 'the weights')]),
  'view-unlink': (store) => removing(store, 'unlink'),
  'view-open': async (store) => {
    const step = await removing(store, 'openat')
    const [view] = store.database.manifests
      .list()
      .flatMap(({ id }) => store.database.views.listOfManifest(id))
    if (view === undefined) throw new Error('the tree has no view')
    return {
      ...step,
      paths: [store.layout.view(view.domain, `${view.digest}.${view.generation}`)],
    }
  },

  commit: async (store) => {
    const { id } = beginIngest(store)
    // oxlint-disable-next-line typescript/require-await -- a throw is to become a rejection
    const attempt = async (): Promise<void> => {
      store.database.log.append(id, 0, 'a line')
    }
    return { calls: WRITES, paths: [`${store.layout.database}-wal`], checkpointId: id, attempt }
  },
  'database-flush': async (store) => {
    const { id } = beginIngest(store)
    const attempt = async (): Promise<void> => {
      store.database.log.append(id, 0, 'a line')
      await store.database.flush()
    }
    return {
      calls: 'fsync,fdatasync',
      paths: [`${store.layout.database}-wal`],
      checkpointId: id,
      attempt,
    }
  },
  'database-fold': (store) => folding(store, WRITES),
  'database-fold-flush': (store) => folding(store, 'fsync,fdatasync'),
} satisfies Record<string, (store: Store) => Promise<FaultStep>>

const CONTENT = 'what the file holds'

interface Filling {
  readonly id: CheckpointId
  readonly ingest: Ingest
  /** The staging file. */
  readonly file: string
}

function stagedManifest(store: Store, id: CheckpointId): string[] {
  return [join(store.layout.ingest(id), 'manifest')]
}

function stagedSidecar(store: Store, id: CheckpointId): string[] {
  return [`${store.layout.sidecar(id)}.tmp`]
}

function objectOf(store: Store, content: string): string {
  const sha256 = digestOf(content)
  return store.layout.object({ domain: 'host', sha256, executable: false, copy: 0 })
}

function manyDirectories(): TreeSpec {
  return Object.fromEntries(
    Array.from({ length: 40 }, (_, n) => [`directory${n}/file`, `content ${n}`]),
  )
}

/** Publishes a tree of which every file is stored. */
async function publishing(
  store: Store,
  calls: string,
  paths: (id: CheckpointId) => string[],
): Promise<FaultStep> {
  const { id, ingest } = beginIngest(store)
  await storeTree(ingest, TREE)
  const attempt = (): Promise<void> => store.publisher.publish(id, Date.now())
  return { calls, paths: paths(id), checkpointId: id, attempt }
}

/** Stores one file; its bytes are written anew at every further attempt. */
async function storing(
  store: Store,
  calls: string,
  paths: (filling: Filling) => string[],
): Promise<FaultStep> {
  const { id, ingest } = beginIngest(store)
  const path = parseRelativePath('file')
  const file = join(ingest.directory, 'staged')
  ingest.planFiles([{ path, sizeBytes: CONTENT.length, plan: null }])
  writeFileSync(file, CONTENT)
  let staged = file
  const attempt = async (): Promise<void> => {
    if (staged !== file) writeFileSync(staged, CONTENT)
    const mine = staged
    staged = join(ingest.directory, ingest.newStagingName())
    await ingest.storeFile({ path, file: mine, executable: false, sizeBytes: CONTENT.length })
  }
  return { calls, paths: paths({ id, ingest, file }), checkpointId: id, attempt }
}

/** Stores so many files at once that one flush of the filesystem serves them. */
async function storingMany(store: Store): Promise<FaultStep> {
  const { id, ingest } = beginIngest(store)
  let round = 0
  const storeRound = async (): Promise<boolean> => {
    round += 1
    const names = Array.from({ length: 20 }, (_, n) => `round${round}/file${n}`)
    ingest.planFiles(
      names.map((name) => ({ path: parseRelativePath(name), sizeBytes: name.length, plan: null })),
    )
    const rewritten = await Promise.all(
      names.map(async (name) => {
        const file = join(ingest.directory, ingest.newStagingName())
        writeFileSync(file, name)
        const { ino } = statSync(file)
        const path = parseRelativePath(name)
        await ingest.storeFile({ path, file, executable: false, sizeBytes: name.length })
        return statSync(objectOf(store, name)).ino !== ino
      }),
    )
    return rewritten.every(Boolean)
  }
  // While other programs of this machine have much to write, files are flushed one by one.
  let seen = false
  const attempt = async (): Promise<void> => {
    await until(async () => {
      execFileSync('sync')
      return (await storeRound()) || seen
    })
    seen = true
  }
  return { calls: 'syncfs', paths: [], checkpointId: id, attempt }
}

/** Fills a large file piece by piece; after a failure from its durable offset on. */
async function flushingProgress(store: Store): Promise<FaultStep> {
  const { id, ingest } = beginIngest(store)
  const path = parseRelativePath('file')
  ingest.planFiles([{ path, sizeBytes: 3, plan: null }])
  const staged = await ingest.openFile('file', 'v1')
  await staged[Symbol.asyncDispose]()
  const attempt = async (): Promise<void> => {
    await using opened = await ingest.openFile('file', 'v1')
    writeFileSync(opened.path, 'abc', { flag: 'r+' })
    await opened.advance(3)
    await opened.flush()
  }
  // The name that comes after the one just used.
  const next = staged.path.replace(/\d+$/, (serial) => String(Number(serial) + 1))
  return { calls: 'fdatasync', paths: [next], checkpointId: id, attempt }
}

/** Takes in a file that stays where a worker left it. */
async function capturing(
  store: Store,
  calls: string,
  paths: (filling: Filling) => string[],
  prepare: (filling: Filling) => void = () => undefined,
): Promise<FaultStep> {
  const { id, ingest } = beginIngest(store, { kind: 'capture' })
  const output = join(store.layout.staging, 'output.job.1')
  mkdirSync(output)
  const file = join(output, 'file')
  writeFileSync(file, CONTENT)
  prepare({ id, ingest, file })
  const path = parseRelativePath('file')
  const sizeBytes = CONTENT.length
  ingest.planFiles([{ path, sizeBytes, plan: null }])
  const attempt = async (): Promise<void> => {
    await ingest.storeFile({ path, file, executable: false, sizeBytes, foreign: true })
  }
  return { calls, paths: paths({ id, ingest, file }), checkpointId: id, attempt }
}

/** Builds the view of a ready checkpoint. */
async function viewing(
  store: Store,
  calls: string,
  paths: readonly string[] = [],
  tree = TREE,
): Promise<FaultStep> {
  const id = await publishTree(store, tree)
  const manifestId = store.database.checkpoints.find(id)?.manifest_id ?? 0
  store.database.views.retireOfManifest(manifestId)
  await store.views.removeDisposable()
  const attempt = async (): Promise<void> => {
    await store.views.ensure(manifestId)
  }
  return { calls, paths, checkpointId: id, attempt }
}

/** Removes a ready checkpoint. */
async function removing(
  store: Store,
  calls: string,
  paths: readonly string[] = [],
): Promise<FaultStep> {
  const id = await publishTree(store, TREE)
  store.database.checkpoints.setStatus(id, 'removing')
  await store.database.flush()
  return { calls, paths, checkpointId: id, attempt: () => store.removal.finish(id) }
}

/** Commits something and waits until the log is folded into the database, or cannot be. */
async function folding(store: Store, calls: string): Promise<FaultStep> {
  const { id } = beginIngest(store)
  // Heard from here on: folding may fail before the step is taken, and each failure is told once.
  let warned = false
  const onWarning = ({ name }: Error): void => {
    if (name === 'DatabaseWarning') warned = true
  }
  process.on('warning', onWarning)
  const attempt = async (): Promise<void> => {
    const before = statSync(store.layout.database).mtimeMs
    for (let n = 0; n < 50; n++) store.database.log.append(id, 0, randomUUID())
    await until(() => warned || statSync(store.layout.database).mtimeMs > before)
    if (!warned) process.off('warning', onWarning)
    warned = false
  }
  return { calls, paths: [store.layout.database], checkpointId: id, attempt }
}
