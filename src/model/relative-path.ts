import { CkptdError } from './errors.ts'
import { MAX_LINK_TARGET_BYTES, MAX_PATH_BYTES, MAX_PATH_PART_BYTES } from './limits.ts'

declare const relativePathBrand: unique symbol
/**
 * The path of an entry below the root of a checkpoint's tree: one or more parts joined by
 * "/", none of them empty, "." or "..", no NUL, valid Unicode, bounded. A foreign name (an
 * archive member, a listing's key, a part of an address, an upload's path) is data until
 * `parseRelativePath` has returned it as this type.
 */
export type RelativePath = string & { readonly [relativePathBrand]: true }

/** The length of a well-formed string's UTF-8 encoding, in bytes. */
export function utf8Length(text: string): number {
  let bytes = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) bytes += 1
    else if (unit < 0x800) bytes += 2
    else if (unit >= 0xd800 && unit <= 0xdfff) bytes += 2
    else bytes += 3
  }
  return bytes
}

/** A foreign name made safe to show: control characters escaped, shortened. */
export function quoteName(name: string): string {
  const shown = name.length > 200 ? `${name.slice(0, 200)}…` : name
  return JSON.stringify(shown)
}

function refuse(name: string, why: string): never {
  throw new CkptdError('invalid_path', `the name ${quoteName(name)} is refused: ${why}`, {
    details: { name: name.slice(0, 400) },
  })
}

/** Decodes a foreign name's bytes; throws `invalid_path` where they are not valid UTF-8. */
export function decodeName(bytes: Uint8Array): string {
  const hex = (byte: number): string => byte.toString(16).padStart(2, '0')
  const plain = (byte: number): boolean => byte >= 0x20 && byte < 0x7f && byte !== 0x25
  try {
    let escaped = ''
    for (const byte of bytes) escaped += plain(byte) ? String.fromCharCode(byte) : `%${hex(byte)}`
    return decodeURIComponent(escaped)
  } catch (cause) {
    const shown = Array.from(bytes.subarray(0, 100), (byte) =>
      plain(byte) ? String.fromCharCode(byte) : `\\x${hex(byte)}`,
    ).join('')
    throw new CkptdError('invalid_path', `the name "${shown}" is refused: it is not valid UTF-8`, {
      cause,
    })
  }
}

export function parseRelativePath(name: string): RelativePath {
  if (name === '') refuse(name, 'it is empty')
  if (!name.isWellFormed()) refuse(name, 'it is not valid Unicode')
  if (name.includes('\0')) refuse(name, 'it contains a NUL')
  if (name.startsWith('/')) refuse(name, 'it is absolute')
  if (utf8Length(name) > MAX_PATH_BYTES) refuse(name, `it is longer than ${MAX_PATH_BYTES} bytes`)
  for (const part of name.split('/')) {
    if (part === '') refuse(name, 'it has an empty part')
    if (part === '.') refuse(name, 'it has a part "."')
    if (part === '..') refuse(name, 'it has a part ".."')
    if (utf8Length(part) > MAX_PATH_PART_BYTES)
      refuse(name, `a part of it is longer than ${MAX_PATH_PART_BYTES} bytes`)
  }
  return name as RelativePath
}

/** The directories above an entry, outermost first; none for an entry at the root. */
export function parentDirectories(path: RelativePath): RelativePath[] {
  const parents: RelativePath[] = []
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1))
    parents.push(path.slice(0, slash) as RelativePath)
  return parents
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** The kernel's own limit of links followed in one look-up (MAXSYMLINKS). */
const MAX_LINKS_FOLLOWED = 40

/**
 * Follows a symbolic link as the kernel would, with `targetOf` telling which paths are links
 * themselves, and returns the path it ends at ("" for the root). Throws `invalid_path` where
 * it is absolute, loops, or leaves the tree at any step: lexical resolution alone would miss
 * "a/link-to-root/..". That the end exists is not asked: a link may dangle inside the tree.
 */
export function resolveLink(
  link: RelativePath,
  target: string,
  targetOf: (path: string) => string | undefined,
): string {
  const refuseLink = (why: string): never => refuse(`${link} -> ${target}`, why)
  if (target === '') refuseLink('the link leads nowhere')
  if (!target.isWellFormed() || target.includes('\0'))
    refuseLink('its target is not valid Unicode or contains a NUL')
  if (utf8Length(target) > MAX_LINK_TARGET_BYTES)
    refuseLink(`its target is longer than ${MAX_LINK_TARGET_BYTES} bytes`)
  const at = link.split('/').slice(0, -1)
  const pending: string[] = []
  const follow = (to: string): void => {
    if (to.startsWith('/')) refuseLink('the link is absolute')
    pending.push(...to.split('/').toReversed())
  }
  follow(target)
  let followed = 0
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      if (at.pop() === undefined) refuseLink('the link leads out of the tree')
      continue
    }
    at.push(part)
    const next = targetOf(at.join('/'))
    if (next === undefined) continue
    if (++followed > MAX_LINKS_FOLLOWED) refuseLink('too many links follow one another')
    at.pop()
    follow(next)
  }
  return at.join('/')
}

/** Bytewise order of the UTF-8 encodings; a plain string comparison differs above U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    // Surrogates (U+10000 and up) sort after the rest of the basic plane in UTF-8.
    const xs = x >= 0xd800 && x <= 0xdfff
    const ys = y >= 0xd800 && y <= 0xdfff
    return xs === ys ? x - y : xs ? 1 : -1
  }
  return a.length - b.length
}
