import { dirname } from 'node:path'
import type { Database } from '../database/database.ts'
import type { StoredFile } from '../database/entries.ts'
import type { ObjectKey } from '../database/objects.ts'
import { EMPTY_SHA256, type Sha256 } from '../model/digest.ts'
import { CkptdError, fromErrorRecord } from '../model/errors.ts'
import type { CheckpointId } from '../model/ids.ts'
import type { RelativePath } from '../model/relative-path.ts'
import { failpoint } from '../os/failpoint.ts'
import type { Remote } from '../os/thread.ts'
import type { Layout } from './layout.ts'
import type { StoreThreads } from './store-threads.ts'
import type { PlaceRequest } from './thread/place-files.ts'
import type { SealRequest, SealResult } from './thread/seal-files.ts'
import type { StoreHandlers } from './thread/store-thread.ts'
import { TURN_BYTES } from './thread/turn.ts'

/** A whole file on its way into the store. */
export interface IncomingFile {
  readonly checkpointId: CheckpointId
  readonly domain: string
  readonly path: RelativePath
  /** Absolute path of its bytes on the store's mount. */
  readonly file: string
  /** Absolute: somebody's file of which `file` is to be made. */
  readonly copyFrom?: string
  readonly executable: boolean
  /** About how large it is, for the size of batches. */
  readonly sizeHintBytes: number
  readonly expected?: { sizeBytes?: number; sha256?: Sha256 }
  readonly knownSha256?: Sha256
  /** A worker's own file: it is linked and stays where it is, and its inode is not trusted. */
  readonly foreign?: boolean
  /** Told from time to time how much of a large file is hashed. */
  readonly onHashed?: (bytes: number) => void
}

export interface ObjectWriter {
  /**
   * Resolves when the file is an object, durable, and recorded as an entry of its checkpoint.
   * Rejects with what is wrong with it; then nothing was recorded.
   */
  put(file: IncomingFile): Promise<StoredFile>
  /**
   * Runs `work` while no file of this content is named; those that arrive wait. For whoever
   * takes the name of an object away.
   */
  withoutNaming<T>(key: ContentKey, work: () => Promise<T>): Promise<T>
  /** Whether a content is about to be named, so that its row must not be marked for removal. */
  isClaimed(key: ContentKey): boolean
}

type ContentKey = Omit<ObjectKey, 'copy'>

/** Bounds of one batch: what one flush serves, and what a power cut may undo. */
const MAX_BATCH_FILES = 512
const MAX_BATCH_BYTES = 32 * 1024 * 1024
/** Batches of each thread: while one waits for the disk, the next is hashed. */
const BATCHES_PER_THREAD = 2

interface Waiting {
  readonly file: IncomingFile
  readonly watch: number | undefined
  readonly resolve: (stored: StoredFile) => void
  readonly reject: (error: Error) => void
}

/**
 * The only way into `objects/`. Files wait here until a store thread is free and then go as one
 * batch: hashed, checked and flushed → named → directory flushed → recorded. With one file
 * waiting a batch is one file; under load the flushes are shared.
 */
export function objectWriter(
  database: Database,
  layout: Layout,
  threads: StoreThreads,
  sweep: () => Promise<void>,
): ObjectWriter {
  const queue: Waiting[] = []
  let running = 0
  /** Of all files from their arrival until they are durable: what is dirty of the store's own. */
  let ownDirtyBytes = 0
  /** Contents that a batch is about to name; another batch with the same waits for it. */
  const claims = new Map<string, Promise<void>>()

  const pump = (): void => {
    while (running < threads.size * BATCHES_PER_THREAD && queue.length > 0) {
      running += 1
      const batch = takeBatch(queue)
      const batchBytes = batch.reduce((sum, { file }) => sum + file.sizeHintBytes, 0)
      void runBatch(batch)
        .catch((error: unknown) => {
          for (const { reject } of batch)
            reject(error instanceof Error ? error : new Error(String(error)))
        })
        .finally(() => {
          running -= 1
          ownDirtyBytes -= batchBytes
          pump()
        })
    }
  }

  const runBatch = async (batch: readonly Waiting[]): Promise<void> => {
    failpoint('ingest.written')
    const { remote, release } = threads.acquire()
    try {
      const results = await remote.sealFiles(batch.map(sealRequest), ownDirtyBytes)
      const sealed: Sealed[] = []
      for (const [index, waiting] of batch.entries()) {
        const result = results[index]
        if (result?.ok) sealed.push({ waiting, result })
        else if (result !== undefined) waiting.reject(sealError(waiting.file, result))
      }
      for (let rest = sealed; rest.length > 0; ) {
        const plan = decide(rest)
        try {
          await name(plan, remote)
        } finally {
          for (const free of plan.release) free()
        }
        failpoint('ingest.recorded')
        if (plan.obsolete.length > 0) await remote.unlinkFiles(plan.obsolete)
        await Promise.all(plan.waitFor)
        rest = plan.later
      }
    } finally {
      release()
    }
  }

  const name = async (plan: Plan, remote: Remote<StoreHandlers>): Promise<void> => {
    if (plan.puts.length === 0) return
    await remote.placeFiles(plan.puts, [...new Set(plan.puts.map(({ to }) => dirname(to)))])
    try {
      recordPlaced(plan.placing)
    } catch (error) {
      await remote.unplaceFiles(plan.puts)
      throw error
    }
  }

  /**
   * Decides, in one step of the main thread, what becomes of each sealed file: its content is
   * here (recorded at once, so that nothing removes it), it is to be named, or it must wait for
   * a removal or for another batch.
   */
  const decide = (sealed: readonly Sealed[]): Plan => {
    const plan: Plan = { puts: [], placing: [], obsolete: [], later: [], waitFor: [], release: [] }
    const here: { one: Sealed; objectId: number | null }[] = []
    let sweepFirst = false
    const sort = (): void => {
      for (const one of sealed) {
        const { file } = one.waiting
        if (one.result.sizeBytes === 0) {
          record(one, null)
          here.push({ one, objectId: null })
          continue
        }
        const key = objectKey(file, one.result.sha256)
        const claimed = claims.get(keyText(key))
        if (claimed !== undefined) {
          plan.later.push(one)
          plan.waitFor.push(claimed)
          continue
        }
        const row = database.objects.find(key)
        if (row?.state === 'live') {
          record(one, row.id)
          here.push({ one, objectId: row.id })
        } else if (row?.state === 'deleting') {
          plan.later.push(one)
          sweepFirst = true
        } else {
          plan.release.push(claim(key, row !== undefined))
          plan.placing.push({ one, quarantinedId: row?.id })
          const put = placeRequest(one, layout)
          plan.puts.push(put)
          // Its bytes are now in another inode.
          if (put.how === 'rewrite' && !stays(file)) plan.obsolete.push(file.file)
        }
      }
    }
    try {
      database.transaction(sort)
    } catch (error) {
      for (const free of plan.release) free()
      throw error
    }
    // Whoever marked it may have failed to remove it: joined or done, and its failure is heard.
    if (sweepFirst) plan.waitFor.push(sweep())
    for (const { one, objectId } of here) {
      if (!stays(one.waiting.file)) plan.obsolete.push(one.waiting.file.file)
      one.waiting.resolve(storedFile(one, objectId))
    }
    return plan
  }

  const recordPlaced = (placing: readonly Placing[]): void => {
    const ids = database.transaction(() =>
      placing.map(({ one, quarantinedId }) => {
        const key = objectKey(one.waiting.file, one.result.sha256)
        if (quarantinedId !== undefined) database.objects.setState(quarantinedId, 'live')
        const id = quarantinedId ?? database.objects.insert(key, one.result.sizeBytes)
        record(one, id)
        return id
      }),
    )
    for (const [index, { one }] of placing.entries())
      one.waiting.resolve(storedFile(one, ids[index] ?? null))
  }

  const record = (one: Sealed, objectId: number | null): void =>
    database.entries.store(one.waiting.file.checkpointId, storedFile(one, objectId))

  /** Takes the right to name a content; `present` where the database has a row of it. */
  const claim = (key: ContentKey, present: boolean): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    claims.set(keyText(key), promise)
    return () => {
      claims.delete(keyText(key))
      resolve()
      if (present) forgetUnreferenced(key)
    }
  }

  /** What lost its last reference while it was claimed was not marked then. */
  const forgetUnreferenced = (key: ContentKey): void => {
    const row = database.objects.find({ ...key, copy: 0 })
    if (row !== undefined && !database.objects.isReferenced(row.id))
      database.objects.setState(row.id, 'deleting')
  }

  const enqueue = (file: IncomingFile, watch?: number): Promise<StoredFile> =>
    new Promise((resolve, reject) => {
      queue.push({ file, watch, resolve, reject })
      ownDirtyBytes += file.sizeHintBytes
      // Files of one turn of the event loop go together.
      if (queue.length === 1) setImmediate(pump)
    })

  return {
    put: async (file) => {
      const { onHashed, sizeHintBytes } = file
      if (onHashed === undefined || sizeHintBytes <= TURN_BYTES) return enqueue(file)
      using watched = threads.watchHashing(onHashed)
      return await enqueue(file, watched.watch)
    },
    isClaimed: (key) => claims.has(keyText(key)),
    withoutNaming: async (key, work) => {
      const text = keyText(key)
      for (let claimed = claims.get(text); claimed !== undefined; claimed = claims.get(text))
        await claimed
      const free = claim(key, true)
      try {
        return await work()
      } finally {
        free()
      }
    },
  }
}

interface Sealed {
  readonly waiting: Waiting
  readonly result: SealResult & { ok: true }
}

/** A file whose content is claimed; a quarantined object of it is replaced. */
interface Placing {
  readonly one: Sealed
  readonly quarantinedId: number | undefined
}

interface Plan {
  readonly puts: PlaceRequest[]
  readonly placing: Placing[]
  readonly obsolete: string[]
  readonly later: Sealed[]
  readonly waitFor: Promise<unknown>[]
  readonly release: (() => void)[]
}

function takeBatch(queue: Waiting[]): Waiting[] {
  let bytes = 0
  let count = 0
  for (const { file } of queue) {
    // A digest that is known costs no reading.
    bytes += file.knownSha256 === undefined ? file.sizeHintBytes : 0
    if (count > 0 && bytes > MAX_BATCH_BYTES) break
    count += 1
    if (count === MAX_BATCH_FILES) break
  }
  return queue.splice(0, count)
}

function sealRequest({ file, watch }: Waiting): SealRequest {
  return {
    path: file.file,
    executable: file.executable,
    foreign: file.foreign ?? false,
    ...(watch === undefined ? {} : { watch }),
    ...(file.copyFrom === undefined ? {} : { copyFrom: file.copyFrom }),
    ...(file.expected?.sizeBytes === undefined ? {} : { sizeBytes: file.expected.sizeBytes }),
    ...(file.expected?.sha256 === undefined ? {} : { sha256: file.expected.sha256 }),
    ...(file.knownSha256 === undefined ? {} : { knownSha256: file.knownSha256 }),
  }
}

function sealError(file: IncomingFile, result: SealResult & { ok: false }): CkptdError {
  const error = fromErrorRecord(result.error)
  return new CkptdError(error.code, `${file.path}: ${error.message}`, {
    details: { ...error.details, path: file.path },
  })
}

function objectKey(file: IncomingFile, sha256: Sha256) {
  return { domain: file.domain, sha256, executable: file.executable ? 1 : 0, copy: 0 } as const
}

function keyText(key: ContentKey): string {
  return `${key.domain}/${key.sha256}/${key.executable}`
}

/**
 * Whether the file keeps its own name: a worker's output stays whole until its checkpoint is
 * ready, and a file whose offset was acknowledged stays until the database is flushed, so that
 * a power cut in between finds it where the offset says.
 */
function stays(file: IncomingFile): boolean {
  return file.foreign === true || file.knownSha256 !== undefined
}

function placeRequest({ waiting: { file }, result }: Sealed, layout: Layout): PlaceRequest {
  const { sha256, by } = result
  const inode = stays(file) ? 'link' : 'rename'
  const how = by === 'rewriting' ? 'rewrite' : by === 'copy' ? 'copy' : inode
  const to = layout.object({ domain: file.domain, sha256, executable: file.executable, copy: 0 })
  return { from: file.file, to, how, sha256, executable: file.executable }
}

function storedFile({ waiting: { file }, result }: Sealed, objectId: number | null): StoredFile {
  return {
    path: file.path,
    executable: file.executable,
    sizeBytes: result.sizeBytes,
    sha256: result.sizeBytes === 0 ? EMPTY_SHA256 : result.sha256,
    objectId,
  }
}
