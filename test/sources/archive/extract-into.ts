import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect, isDeepStrictEqual } from 'node:util'
import type { Ingest } from '../../../src/cache/ingest.ts'
import type { Store } from '../../../src/cache/store.ts'
import type { CkptdError } from '../../../src/model/errors.ts'
import type { ArchiveFormat } from '../../../src/sources/archive/archive-format.ts'
import { spooledArchive } from '../../../src/sources/archive/archive-source.ts'
import { extractArchive } from '../../../src/sources/archive/extract.ts'
import type {
  ExtractionProgress,
  ExtractionRequest,
} from '../../../src/sources/archive/extraction-request.ts'
import { makeScratch, type Scratch } from '../../support/scratch.ts'
import { beginIngest, openTestStore } from '../../support/store.ts'
import { trickledArchive } from './trickled-archive.ts'

/** A store in a scratch directory, for extractions one after another. */
export interface Bench extends AsyncDisposable {
  readonly store: Store
  readonly scratch: Scratch
  /** Extracts and answers with the tree, or with the error; and that nothing else was written. */
  extract(archive: Buffer | string, options?: ExtractOptions): Promise<Outcome>
}

export interface ExtractOptions {
  readonly format?: ArchiveFormat
  readonly name?: string
  readonly request?: Partial<ExtractionRequest>
}

export interface Outcome {
  readonly ingest: Ingest
  readonly error: CkptdError | undefined
  /** Path → `dir`, `-> target`, or the file's text (`x ` in front where it is executable). */
  readonly tree: Readonly<Record<string, string>>
  readonly log: readonly string[]
  readonly progress: readonly ExtractionProgress[]
}

export async function openBench(): Promise<Bench> {
  const scratch = makeScratch('archive')
  const store = await openTestStore(scratch.join('data'))
  let serial = 0
  return {
    store,
    scratch,
    extract: async (archive, options = {}) => {
      const before = surroundings(scratch.path)
      const path = typeof archive === 'string' ? archive : scratch.join(`spool-${serial++}`)
      if (typeof archive !== 'string') {
        writeFileSync(path, archive)
        before.push(path.slice(scratch.path.length + 1))
      }
      const { ingest } = beginIngest(store)
      const outcome = await extractInto(store, ingest, path, options)
      if (options.request === undefined && options.format !== 'tar.gz')
        await compareArriving(store, path, options, outcome)
      const names = readdirSync(ingest.directory)
      const strangers = names.filter((name) => !/^[0-9a-z]+-\d+(\.\d+)?$/.test(name))
      if (strangers.length > 0) throw new Error(`strange names in staging: ${strangers.join()}`)
      const written = surroundings(scratch.path).filter((name) => !before.includes(name))
      if (written.length > 0) throw new Error(`written outside the store: ${written.join()}`)
      return outcome
    },
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]()
      await scratch[Symbol.asyncDispose]()
    },
  }
}

/** The same archive must come to the same end when it is extracted while it arrives. */
async function compareArriving(
  store: Store,
  path: string,
  options: ExtractOptions,
  whole: Outcome,
): Promise<void> {
  const sizeBytes = statSync(path).size
  const { error, tree } = await extractInto(store, beginIngest(store).ingest, path, {
    ...options,
    request: { source: trickledArchive(path, sizeBytes) },
  })
  const [here, there] = [whole, { error, tree }].map((outcome) => ({
    error: outcome.error?.message,
    tree: outcome.tree,
  }))
  if (!isDeepStrictEqual(here, there))
    throw new Error(`arriving, it ends otherwise: ${inspect({ here, there })}`)
}

export async function extractInto(
  store: Store,
  ingest: Ingest,
  path: string,
  options: ExtractOptions = {},
): Promise<Outcome> {
  const log: string[] = []
  const progress: ExtractionProgress[] = []
  using reservation = await store.space.reserve(0)
  let error: CkptdError | undefined
  try {
    await extractArchive({
      format: options.format ?? 'tar',
      name: options.name ?? 'a.archive',
      source: spooledArchive(path, statSync(path).size),
      ingest,
      reservation,
      log: (line) => void log.push(line),
      onProgress: (now) => void progress.push(now),
      signal: new AbortController().signal,
      ...options.request,
    })
  } catch (failure) {
    error = failure as CkptdError
  }
  if (reservation.leftBytes !== 0) throw new Error(`${reservation.leftBytes} bytes stay reserved`)
  const left = error === undefined ? ingest.listPlanned('', 1) : []
  if (left.length > 0) throw new Error(`${left[0]?.path} was planned and not stored`)
  return { ingest, error, tree: error === undefined ? treeOf(store, ingest) : {}, log, progress }
}

/** A short text for each entry; files of more than 1 KiB as `<size>:<sha256>`. */
export function treeOf(store: Store, ingest: Ingest): Record<string, string> {
  const tree: Record<string, string> = {}
  for (const row of ingest.iterate()) {
    const { executable, kind, path, sha256, size_bytes: size } = row
    if (kind === 'directory') tree[path] = 'dir'
    else if (kind === 'symlink') tree[path] = `-> ${row.target}`
    else if (sha256 !== null) {
      const key = { domain: 'host', sha256, executable: executable === 1, copy: 0 }
      const text =
        size === 0
          ? ''
          : (size ?? 0) > 1024
            ? `${size}:${sha256}`
            : readFileSync(store.layout.object(key), 'utf8')
      tree[path] = executable === 1 ? `x ${text}` : text
    }
  }
  return tree
}

/** Everything around the store's own directory: its top level, and that of the data directory. */
function surroundings(root: string): string[] {
  const data = readdirSync(join(root, 'data')).filter((name) => !name.startsWith('ckptd.db'))
  return [
    ...readdirSync(root),
    ...data.map((name) => join('data', name)),
    ...readdirSync('/').map((name) => `/${name}`),
  ]
}
