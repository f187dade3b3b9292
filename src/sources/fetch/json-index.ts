import { CkptdError } from '../../model/errors.ts'
import type { IndexReader } from './html-index.ts'
import { parseListedName } from './index-links.ts'
import type { ListedEntry } from './messages.ts'

/** One entry of a JSON listing, in characters. */
const MAX_OBJECT_CHARACTERS = 16_384

/**
 * nginx's `autoindex_format json`: an array of flat objects. Cut into its objects as it
 * arrives, so that a long listing is never one value in memory.
 */
export function jsonIndex(onEntry: (entry: ListedEntry) => void): IndexReader {
  let object: string | undefined
  let inString = false
  let escaped = false
  let state: 'before' | 'inside' | 'after' | 'other' = 'before'

  const bad = (): never => {
    throw new CkptdError('origin_error', 'the JSON listing cannot be read')
  }
  const read = (character: string): void => {
    if (object !== undefined) {
      object += character
      if (object.length > MAX_OBJECT_CHARACTERS) bad()
      if (escaped) escaped = false
      else if (inString && character === '\\') escaped = true
      else if (character === '"') inString = !inString
      else if (character === '{' && !inString) bad()
      else if (character === '}' && !inString) {
        const entry = parseEntry(object)
        object = undefined
        if (entry !== undefined) onEntry(entry)
      }
    } else if (/[\s,]/.test(character)) return
    else if (state === 'before') state = character === '[' ? 'inside' : 'other'
    else if (state === 'inside' && character === '{') object = character
    else if (state === 'inside' && character === ']') state = 'after'
    else state = 'other'
  }
  return {
    write: (text) => {
      for (const character of text) read(character)
    },
    end: () => ({ isIndex: state !== 'other', looksWhole: state === 'after' }),
  }
}

/** Undefined for what is neither a file nor a directory. */
function parseEntry(text: string): ListedEntry | undefined {
  let raw: Record<string, unknown>
  try {
    raw = JSON.parse(text) as Record<string, unknown>
  } catch (cause) {
    throw new CkptdError('origin_error', 'the JSON listing cannot be read', { cause })
  }
  const { name: listed, type, mtime, size } = raw
  if (typeof listed !== 'string' || typeof type !== 'string')
    throw new CkptdError('origin_error', 'an entry of the JSON listing has no name or no type')
  if (type !== 'file' && type !== 'directory') return undefined
  const name = parseListedName(listed)
  const directory = type === 'directory'
  const sizeBytes = !directory && Number.isSafeInteger(size) ? (size as number) : undefined
  const stamp = `${typeof mtime === 'string' ? mtime.slice(0, 100) : ''} ${sizeBytes ?? '-'}`
  return { name, href: encodeURIComponent(name), directory, sizeBytes, stamp }
}
