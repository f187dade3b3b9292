import { CkptdError } from '../../model/errors.ts'
import { quoteName } from '../../model/relative-path.ts'
import { displayUri } from '../display-uri.ts'
import { networkFault, statusFault } from './faults.ts'
import { type FetchContext, patienceOf, respectHost } from './fetch-context.ts'
import { assertPlainBytes, contentLength } from './first-answer.ts'
import { htmlIndex, type IndexReader } from './html-index.ts'
import { jsonIndex } from './json-index.ts'
import type { ListedEntry } from './messages.ts'
import { type LocatedAnswer, request } from './request.ts'
import { shorterThanTold } from './small-file.ts'
import { TransientFault } from './transient-fault.ts'

/** The entries of one directory, read from its index page; all or an error. */
export async function listDirectory(context: FetchContext, href: string): Promise<ListedEntry[]> {
  const url = context.urlOf(href)
  const attempts = patienceOf(context)
  for (;;) {
    const release = await context.slots.acquire(context.id, url.host, context.signal)
    try {
      const answer = await request(context.origin, url, {}, context.signal)
      if (answer.status === 200) return await readPage(context, url, answer)
      answer.discard()
      throw statusFault(answer.status, answer.headers, displayUri(url))
    } catch (error) {
      release()
      if (!(error instanceof TransientFault)) throw error
      respectHost(context, url.host, error)
      await attempts.wait(error)
    } finally {
      release()
    }
  }
}

async function readPage(
  context: FetchContext,
  asked: URL,
  answer: LocatedAnswer,
): Promise<ListedEntry[]> {
  const { url, headers } = answer
  const where = displayUri(url)
  const refuse = (code: 'origin_error' | 'limit_exceeded', why: string): CkptdError => {
    answer.discard()
    return new CkptdError(code, `${where} ${why}`)
  }
  if (url.origin !== asked.origin || !url.pathname.endsWith('/'))
    throw refuse(
      'origin_error',
      'is where the server redirects to; a directory’s listing must stay on its server',
    )
  assertPlainBytes(answer)
  const entries = new Map<string, ListedEntry>()
  const reader = readerFor(headers['content-type'], url, (entry) => {
    const before = entries.get(entry.name)
    if (before !== undefined && before.directory !== entry.directory)
      throw new CkptdError(
        'invalid_path',
        `${where} lists ${quoteName(entry.name)} as a file and as a directory`,
      )
    if (before === undefined) entries.set(entry.name, entry)
    if (entries.size > context.limits.maxIndexEntries)
      throw refuse(
        'limit_exceeded',
        `lists more than ${context.limits.maxIndexEntries} entries in one directory`,
      )
  })
  if (reader === undefined) throw refuse('origin_error', 'is no listing: neither HTML nor JSON')

  const decoder = new TextDecoder('utf-8', { fatal: true })
  const decode = (chunk?: Buffer): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true })
    } catch (cause) {
      throw new CkptdError('origin_error', `${where}: the listing is not UTF-8`, { cause })
    }
  }
  let bytes = 0
  try {
    await answer.drain((chunk) => {
      bytes += chunk.length
      context.receivedBytes += chunk.length
      if (bytes > context.limits.maxIndexBytes)
        throw refuse(
          'limit_exceeded',
          `is a listing of more than ${context.limits.maxIndexBytes} bytes`,
        )
      reader.write(decode(chunk))
    })
    reader.write(decode())
  } catch (error) {
    throw networkFault(error, where)
  }
  const { isIndex, looksWhole } = reader.end()
  const lengthKnown =
    contentLength(headers) !== undefined || headers['transfer-encoding'] !== undefined
  if (!isIndex)
    throw refuse(
      'origin_error',
      'is no directory listing; the path ends in "/", and what the server shows there is something else',
    )
  if (!lengthKnown && !looksWhole) throw shorterThanTold(where)
  return [...entries.values()]
}

function readerFor(
  contentType: string | undefined,
  page: URL,
  onEntry: (entry: ListedEntry) => void,
): IndexReader | undefined {
  const type = contentType?.split(';')[0]?.trim().toLowerCase()
  if (type === 'application/json') return jsonIndex(onEntry)
  if (type === 'text/html' || type === 'application/xhtml+xml') return htmlIndex(page, onEntry)
  return undefined
}
