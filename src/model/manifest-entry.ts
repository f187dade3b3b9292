import { parseSha256, type Sha256 } from './digest.ts'
import { CkptdError } from './errors.ts'
import { parseRelativePath, type RelativePath } from './relative-path.ts'

/**
 * One line of a manifest (docs/storage-layout.md has the frozen format). Directories are
 * listed, the parents of every entry among them; the root is not.
 */
export type ManifestEntry =
  | { readonly path: RelativePath; readonly kind: 'directory' }
  | {
      readonly path: RelativePath
      readonly kind: 'file'
      readonly sizeBytes: number
      readonly sha256: Sha256
      readonly executable: boolean
    }
  | { readonly path: RelativePath; readonly kind: 'symlink'; readonly target: string }

/** The first line of every manifest, without its line feed. */
export const MANIFEST_HEADER = '{"format":"ckptd-manifest","version":1}'

/** The canonical line of an entry, without its line feed: fixed keys in a fixed order. */
export function encodeManifestEntry(entry: ManifestEntry): string {
  const path = JSON.stringify(entry.path)
  switch (entry.kind) {
    case 'directory':
      return `{"path":${path},"kind":"directory"}`
    case 'file':
      return `{"path":${path},"kind":"file","size":${entry.sizeBytes},"sha256":"${entry.sha256}","executable":${entry.executable}}`
    case 'symlink':
      return `{"path":${path},"kind":"symlink","target":${JSON.stringify(entry.target)}}`
  }
}

/** Reads one line; throws `corrupt` where it is not exactly what `encodeManifestEntry` writes. */
export function parseManifestEntry(line: string): ManifestEntry {
  const bad = (cause?: unknown): never => {
    throw new CkptdError('corrupt', `the manifest has a bad line: ${line.slice(0, 200)}`, { cause })
  }
  let entry: ManifestEntry | undefined
  try {
    const raw = JSON.parse(line) as Record<string, unknown>
    const path = parseRelativePath(String(raw['path']))
    if (raw['kind'] === 'directory') entry = { path, kind: 'directory' }
    else if (raw['kind'] === 'symlink') {
      const target = String(raw['target'])
      entry = { path, kind: 'symlink', target }
    } else if (raw['kind'] === 'file') {
      const sizeBytes = Number(raw['size'])
      if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) bad()
      entry = {
        path,
        kind: 'file',
        sizeBytes,
        sha256: parseSha256(String(raw['sha256'])),
        executable: raw['executable'] === true,
      }
    }
  } catch (error) {
    bad(error)
  }
  if (entry === undefined || encodeManifestEntry(entry) !== line) return bad()
  return entry
}
