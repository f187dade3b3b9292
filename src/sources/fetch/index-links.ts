import { CkptdError } from '../../model/errors.ts'
import { parseRelativePath, quoteName, type RelativePath } from '../../model/relative-path.ts'

export interface IndexLink {
  readonly name: RelativePath
  /** The name as the address has it, without a directory's "/". */
  readonly href: string
  readonly directory: boolean
}

/**
 * The entry of a directory that a link of its index page stands for; undefined for any other
 * link (to the parent, another server, a sort order, a deeper level). Throws `invalid_path`
 * where the link is an entry whose name no tree may hold. `page` ends in "/".
 */
export function readIndexLink(page: URL, href: string): IndexLink | undefined {
  const trimmed = href.trim()
  if (trimmed === '' || /[?#]/.test(trimmed) || !URL.canParse(trimmed, page.href)) return undefined
  const url = new URL(trimmed, page)
  if (url.origin !== page.origin || !url.pathname.startsWith(page.pathname)) return undefined
  const rest = url.pathname.slice(page.pathname.length)
  const directory = rest.endsWith('/')
  const segment = directory ? rest.slice(0, -1) : rest
  if (segment === '' || segment.includes('/')) return undefined
  return { name: decodeSegment(segment), href: segment, directory }
}

/** A name as a server's JSON listing has it. */
export function parseListedName(name: string): RelativePath {
  if (name.includes('/'))
    throw new CkptdError(
      'invalid_path',
      `the listing has the name ${quoteName(name)}, which holds a "/"`,
    )
  return parseRelativePath(name)
}

function decodeSegment(segment: string): RelativePath {
  let name: string
  try {
    name = decodeURIComponent(segment)
  } catch (cause) {
    throw new CkptdError(
      'invalid_path',
      `the listing has the name ${quoteName(segment)}, which is not valid UTF-8`,
      { cause },
    )
  }
  return parseListedName(name)
}
