import { Parser } from 'htmlparser2'
import { readIndexLink } from './index-links.ts'
import type { ListedEntry } from './messages.ts'

/** Reads an index page as it arrives. */
export interface IndexReader {
  write(text: string): void
  /** What the page lists. `looksWhole`: whether it ends as such a page ends. */
  end(): { readonly isIndex: boolean; readonly looksWhole: boolean }
}

const INDEX_TITLE = /^\s*(?:index of|directory listing (?:for|of))\b/i
/** nginx: time and the size to the byte. Other servers round, which says nothing. */
const TIME_AND_SIZE = /^\d{2}-[A-Z][a-z]{2}-\d{4} \d{2}:\d{2} (\d{1,15})$/
/** What stands beside a name, in characters; only compared. */
const MAX_STAMP_CHARACTERS = 200

/** Index pages of nginx, Python's http.server, Apache and lighttpd. */
export function htmlIndex(page: URL, onEntry: (entry: ListedEntry) => void): IndexReader {
  let title = ''
  let inTitle = false
  let inLink = false
  let looksWhole = false
  let pending: { link: NonNullable<ReturnType<typeof readIndexLink>>; beside: string } | undefined

  const flush = (): void => {
    if (pending === undefined) return
    const stamp = pending.beside.replaceAll(/\s+/g, ' ').trim().slice(0, MAX_STAMP_CHARACTERS)
    const size = TIME_AND_SIZE.exec(stamp)?.[1]
    const { link } = pending
    pending = undefined
    onEntry({
      ...link,
      stamp,
      sizeBytes: link.directory || size === undefined ? undefined : Number(size),
    })
  }
  const parser = new Parser({
    onopentag: (tag, attributes) => {
      if (/^(?:title|h1|h2)$/.test(tag)) inTitle = true
      if (tag !== 'a') return
      flush()
      inLink = true
      const link = readIndexLink(page, attributes['href'] ?? '')
      if (link !== undefined) pending = { link, beside: '' }
    },
    onclosetag: (tag, implied) => {
      if (/^(?:title|h1|h2)$/.test(tag)) inTitle = false
      if (tag === 'a') inLink = false
      if (tag === 'html' && !implied) looksWhole = true
    },
    ontext: (text) => {
      if (inTitle && title.length < 1000 && !INDEX_TITLE.test(title))
        title = inTitle ? title + text : title
      else if (pending !== undefined && !inLink && pending.beside.length < 1000)
        pending.beside += text
    },
  })
  return {
    write: (text) => parser.write(text),
    end: () => {
      parser.end()
      flush()
      return { isIndex: INDEX_TITLE.test(title), looksWhole }
    },
  }
}
