import { CkptdError } from '../model/errors.ts'
import { parseRelativePath, type RelativePath } from '../model/relative-path.ts'
import { type ArchiveFormat, proposeFormat } from './archive/archive-format.ts'
import { displayUri } from './display-uri.ts'

/**
 * An address of a web server. `displayUri` is safe to show: no user information, the query as
 * `?…`. Where it leaves something out, `secret` holds the whole address.
 */
export type WebLocation = {
  readonly sourceType: 'web'
  readonly displayUri: string
  readonly secret?: { readonly uri: string }
} & (
  | { readonly shape: 'directory' }
  | { readonly shape: 'file'; readonly name: RelativePath }
  | { readonly shape: 'archive'; readonly name: RelativePath; readonly format: ArchiveFormat }
)

/** Archives by their suffix that are not extracted yet. */
const LATER_SUFFIXES = ['.tar.bz2', '.tbz2', '.tar.zst', '.tar.xz', '.bz2', '.gz']

/** Takes an address apart: a directory, an archive or one file. `refuse` words what is wrong. */
export function locateWeb(uri: string, refuse: (why: string) => CkptdError): WebLocation {
  if (!/^https?:/i.test(uri))
    throw new CkptdError(
      'unsupported_source',
      'web servers are read by http and https; ftp is not yet',
    )
  if (!URL.canParse(uri)) throw refuse('the path is no valid address')
  const url = new URL(uri)
  if (uri.includes('#'))
    throw refuse('the path has a fragment ("#…"); a "#" in a name is written %23')
  const shown = displayUri(url)
  const common = {
    sourceType: 'web',
    displayUri: shown,
    ...(url.href === shown ? {} : { secret: { uri: url.href } }),
  } as const
  if (url.pathname.endsWith('/')) {
    if (url.search !== '') throw refuse('the address of a directory has no query ("?…")')
    return { ...common, shape: 'directory' }
  }
  const name = fileName(url, refuse)
  const format = proposeFormat(name)
  if (format !== undefined) return { ...common, shape: 'archive', name, format }
  const lower = name.toLowerCase()
  const later = LATER_SUFFIXES.find((suffix) => lower.endsWith(suffix))
  if (later !== undefined)
    throw new CkptdError(
      'unsupported_source',
      `archives with the suffix ${later} cannot be extracted yet; .zip, .tar, .tar.gz and .tgz can`,
    )
  return { ...common, shape: 'file', name }
}

function fileName(url: URL, refuse: (why: string) => CkptdError): RelativePath {
  const last = url.pathname.slice(url.pathname.lastIndexOf('/') + 1)
  try {
    const name = decodeURIComponent(last)
    if (!name.includes('/')) return parseRelativePath(name)
  } catch (error) {
    if (!(error instanceof URIError || error instanceof CkptdError)) throw error
  }
  throw refuse('the last part of the path is no name that a file may have')
}
