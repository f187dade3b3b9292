import { lstatSync, opendirSync, readlinkSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import type { ManifestEntry } from '../../model/manifest-entry.ts'
import { quoteName } from '../../model/relative-path.ts'
import { isErrno } from '../../os/errno.ts'
import type { Remote } from '../../os/thread.ts'
import { objectFileName } from '../layout.ts'
import { readManifest } from '../read-manifest.ts'
import type { CopyKeeper, ViewRequest } from './build-view.ts'
import { turn } from './turn.ts'

/** Entries compared before others get their turn on this thread. */
const TURN_ENTRIES = 500

/**
 * Compares a view with its manifest: every entry is there, of its kind and mode, linked to its
 * object; nothing else is. Undefined for a sound view, else what is wrong with it, in words.
 * No byte is read: those of the objects are verified by themselves.
 */
export async function verifyView(
  request: ViewRequest,
  keeper: Remote<CopyKeeper>,
): Promise<string | undefined> {
  const rootProblem = directoryProblem(request.path)
  if (rootProblem !== undefined) return `the view ${rootProblem}`
  let expected = 0
  for await (const entry of readManifest(request.manifest)) {
    const problem = await entryProblem(entry, request, keeper)
    if (problem !== undefined) return `${quoteName(entry.path)} in the view ${problem}`
    if (++expected % TURN_ENTRIES === 0) await turn()
  }
  const found = await countEntries(request.path)
  return found === expected
    ? undefined
    : `the view has ${found} entries and the manifest ${expected}`
}

async function entryProblem(
  entry: ManifestEntry,
  request: ViewRequest,
  keeper: Remote<CopyKeeper>,
): Promise<string | undefined> {
  const path = join(request.path, entry.path)
  if (entry.kind === 'directory') return directoryProblem(path)
  const stat = statOf(path)
  if (stat === undefined) return 'is missing'
  if (entry.kind === 'symlink') {
    if (!stat.isSymbolicLink()) return 'is no symbolic link'
    return readlinkSync(path) === entry.target ? undefined : 'leads elsewhere'
  }
  if (!stat.isFile()) return 'is no file'
  if (stat.size !== entry.sizeBytes) return `has ${stat.size} bytes instead of ${entry.sizeBytes}`
  const modeWanted = entry.executable ? 0o555 : 0o444
  if ((stat.mode & 0o7777) !== modeWanted) return modeProblem(stat.mode, modeWanted)
  if (entry.sizeBytes === 0 || (await isLinked(entry, stat.ino, request, keeper))) return undefined
  return 'is not linked to its object'
}

async function isLinked(
  { sha256, executable }: ManifestEntry & { kind: 'file' },
  ino: number,
  { objects, domain }: ViewRequest,
  keeper: Remote<CopyKeeper>,
): Promise<boolean> {
  const isCopy = (copy: number): boolean =>
    statOf(join(objects, objectFileName({ sha256, executable, copy })))?.ino === ino
  if (isCopy(0)) return true
  const copies = await keeper.copiesOf(domain, sha256, executable)
  return copies.some(isCopy)
}

function directoryProblem(path: string): string | undefined {
  const stat = statOf(path)
  if (stat === undefined) return 'is missing'
  if (!stat.isDirectory()) return 'is no directory'
  return (stat.mode & 0o7777) === 0o555 ? undefined : modeProblem(stat.mode, 0o555)
}

function modeProblem(mode: number, wanted: number): string {
  return `has mode ${(mode & 0o7777).toString(8)} instead of ${wanted.toString(8)}`
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined
    throw error
  }
}

/** Of a directory, at any depth; only the directories on the way down are open. */
async function countEntries(directory: string): Promise<number> {
  let count = 0
  using reader = opendirSync(directory, { bufferSize: 256 })
  for (let entry = reader.readSync(); entry !== null; entry = reader.readSync()) {
    if (entry.isDirectory()) count += await countEntries(join(directory, entry.name))
    if (++count % TURN_ENTRIES === 0) await turn()
  }
  return count
}
