import { isUtf8 } from 'node:buffer'
import { CkptdError } from '../../model/errors.ts'
import { MAX_LINK_TARGET_BYTES } from '../../model/limits.ts'
import {
  decodeName,
  parseRelativePath,
  quoteName,
  type RelativePath,
  utf8Length,
} from '../../model/relative-path.ts'

/** A member's name: the root of the tree, or a path below it that may be marked as a directory's. */
export type MemberName =
  | { readonly root: true; readonly slash: boolean }
  | { readonly root: false; readonly path: RelativePath; readonly slash: boolean }

/**
 * Reads a member's name from its bytes. "./" in front and "/" at the end are how archivers
 * write and no part of the name; "." alone is the root. Throws `invalid_path`.
 */
export function parseMemberName(bytes: Buffer): MemberName {
  let name = decode(bytes)
  while (name.startsWith('./')) name = name.slice(2)
  // Of "./" nothing is left.
  if (name === '.' || (name === '' && bytes.length > 0)) return { root: true, slash: name === '' }
  const slash = name.length > 1 && name.endsWith('/')
  return { root: false, path: parseRelativePath(slash ? name.slice(0, -1) : name), slash }
}

function decode(bytes: Buffer): string {
  // Most names take the short way; `decodeName` says what is wrong with the others.
  return isUtf8(bytes) ? bytes.toString('utf8') : decodeName(bytes)
}

/** The name that a hard link leads to: an earlier member's, written in the same way. */
export function parseLinkName(link: RelativePath, bytes: Buffer): RelativePath {
  const name = parseMemberName(bytes)
  if (name.root)
    throw new CkptdError('bad_archive', `the hard link ${quoteName(link)} leads to the root`)
  return name.path
}

/**
 * Reads a symbolic link's target, which is stored as it is. Whether it stays inside the tree
 * can be told only when all links are known (`resolveLink`); an absolute one never does.
 */
export function parseSymlinkTarget(link: RelativePath, bytes: Buffer): string {
  const target = decode(bytes)
  const refuse = (why: string): never => {
    throw new CkptdError(
      'invalid_path',
      `the link ${quoteName(link)} -> ${quoteName(target)} is refused: ${why}`,
      { details: { name: link } },
    )
  }
  if (target === '') refuse('it leads nowhere')
  if (target.includes('\0')) refuse('its target contains a NUL')
  if (target.startsWith('/')) refuse('it is absolute')
  if (utf8Length(target) > MAX_LINK_TARGET_BYTES)
    refuse(`its target is longer than ${MAX_LINK_TARGET_BYTES} bytes`)
  return target
}
