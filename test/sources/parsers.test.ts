import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CkptdError } from '../../src/model/errors.ts'
import { parseContentRange } from '../../src/sources/fetch/content-range.ts'
import { htmlIndex } from '../../src/sources/fetch/html-index.ts'
import { readIndexLink } from '../../src/sources/fetch/index-links.ts'
import { jsonIndex } from '../../src/sources/fetch/json-index.ts'
import type { ListedEntry } from '../../src/sources/fetch/messages.ts'
import { pinOf } from '../../src/sources/fetch/pin.ts'
import { parseRangeHead } from '../../src/sources/fetch/range-head.ts'
import { parseRetryAfter } from '../../src/sources/fetch/retry-after.ts'

test('a Content-Range is read as it was written, or not at all', () => {
  const size = fc.integer({ min: 0, max: 2 ** 50 })
  fc.assert(
    fc.property(size, size, fc.option(size), (start, length, rest) => {
      const end = start + length + 1
      const totalBytes = rest === null ? undefined : end + rest
      const text = `bytes ${start}-${end - 1}/${totalBytes ?? '*'}`
      expect(parseContentRange(text)).toEqual({ start, end, totalBytes })
    }),
  )
  fc.assert(
    fc.property(fc.string(), (text) => {
      const range = parseContentRange(text)
      expect(range === undefined || /^\s*bytes /i.test(text)).toBe(true)
    }),
  )
  for (const text of [
    'bytes 5-4/10',
    'bytes 0-10/10',
    'bytes */10',
    'bytes 0-1',
    'bytes=0-1/2',
    'bytes 0-1/2,3-4/5',
    'items 0-1/2',
    'bytes -1-2/3',
    'bytes 0-99999999999999999/*',
    undefined,
  ])
    expect(parseContentRange(text)).toBeUndefined()
})

test('Retry-After is read in its two forms', () => {
  const now = Date.parse('2026-11-23T10:00:00Z')
  expect(parseRetryAfter('120', now)).toBe(120_000)
  expect(parseRetryAfter('Mon, 23 Nov 2026 10:02:00 GMT', now)).toBe(120_000)
  expect(parseRetryAfter('Mon, 23 Nov 2026 09:02:00 GMT', now)).toBe(0)
  for (const text of [undefined, '', '-5', '1.5', 'soon', '2026-11-23', '1e3'])
    expect(parseRetryAfter(text, now)).toBeUndefined()
  fc.assert(
    fc.property(fc.string(), (text) => {
      const ms = parseRetryAfter(text, now)
      expect(ms === undefined || ms >= 0).toBe(true)
    }),
  )
})

test('only a validator that tells versions apart pins', () => {
  const date = 'Mon, 23 Nov 2026 10:00:00 GMT'
  expect(pinOf({ etag: '"abc"', date }).kind).toBe('etag')
  expect(
    pinOf({ etag: 'W/"abc"', 'last-modified': 'Sun, 22 Nov 2026 10:00:00 GMT', date }).kind,
  ).toBe('none')
  expect(pinOf({ etag: 'abc', date }).kind).toBe('none')
  expect(pinOf({ etag: '"a\r\nx: y"', date }).kind).toBe('none')
  expect(pinOf({ 'last-modified': 'Mon, 23 Nov 2026 09:59:00 GMT', date }).kind).toBe('modified')
  expect(pinOf({ 'last-modified': 'Mon, 23 Nov 2026 09:59:01 GMT', date }).kind).toBe('none')
  expect(pinOf({ 'last-modified': 'Mon, 23 Nov 2026 09:00:00 GMT' }).kind).toBe('none')
  expect(pinOf({ 'last-modified': 'yesterday', date }).kind).toBe('none')
  expect(pinOf({}).kind).toBe('none')
})

test('the reader of range answers takes their usual form and nothing that could be read otherwise', () => {
  const usual = 'HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/9'
  expect(parseRangeHead(usual)).toMatchObject({ lengthBytes: 5, reusable: true })
  expect(parseRangeHead(`${usual}\r\nConnection: close`)).toMatchObject({ reusable: false })
  for (const odd of [
    usual.replace('206', '200'),
    usual.replace('HTTP/1.1', 'HTTP/1.0'),
    `${usual}\r\nTransfer-Encoding: chunked`,
    `${usual}\r\nContent-Length: 5`,
    `${usual}\r\nContent-Length: 6`,
    `${usual}\r\n folded`,
    `${usual}\r\nContent-Length : 5`,
    usual.replace('Length: 5', 'Length: +5'),
    usual.replace('Length: 5', 'Length: 5, 5'),
    usual.replace('Length: 5\r\n', 'Length: 5\n'),
    'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9',
    '',
  ])
    expect(parseRangeHead(odd), odd).toBeUndefined()
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseRangeHead(text)))
})

const page = new URL('http://h:8080/models/a%20b/')

test.each([
  '../',
  '/',
  '/models/',
  '/models/a%20b/',
  './',
  '.',
  '..',
  '?C=N;O=D',
  'x?y',
  '#top',
  'a/b',
  'a//',
  'http://other/models/a%20b/x',
  'https://h:8080/models/a%20b/x',
  '//evil/x',
  'mailto:me@example.com',
  'javascript:alert(1)',
  '%2e%2e/',
  '%2E%2e/%2e%2e/etc/passwd',
  '..\\',
  '/models/a%20bc/x',
  '',
  'http://',
])('the link %j of an index page is no entry of it', (href) => {
  expect(readIndexLink(page, href)).toBeUndefined()
})

test.each([
  '..%2f',
  'a%2fb',
  '..%2f..%2fetc%2fpasswd',
  'a%00b',
  'a%ff',
  '%c0%ae%c0%ae',
  'a'.repeat(256),
])('the link %j of an index page is refused as a name', (href) => {
  expect(() => readIndexLink(page, href)).toThrow(CkptdError)
})

test('any name survives the way through an index page', () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
    .filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..' && text.isWellFormed())
  fc.assert(
    fc.property(name, fc.boolean(), (text, directory) => {
      const link = readIndexLink(page, `${encodeURIComponent(text)}${directory ? '/' : ''}`)
      expect(link).toMatchObject({ name: text, directory })
    }),
  )
})

test('no link leads out of its page', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii' }), (href) => {
      let link: ReturnType<typeof readIndexLink>
      try {
        link = readIndexLink(page, href)
      } catch (error) {
        expect(error).toBeInstanceOf(CkptdError)
        return
      }
      if (link === undefined) return
      expect(link.name).not.toMatch(/[/\0]/)
      expect(new URL(`${page.href}${link.href}`).pathname.startsWith(page.pathname)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

function readHtml(html: string, cut: number): { entries: ListedEntry[]; isIndex: boolean } {
  const entries: ListedEntry[] = []
  const reader = htmlIndex(page, (entry) => entries.push(entry))
  for (let at = 0; at < html.length; at += cut) reader.write(html.slice(at, at + cut))
  return { entries, isIndex: reader.end().isIndex }
}

const ROWS = {
  nginx: `<html><head><title>Index of /models/a b/</title></head><body><h1>Index of /models/a b/</h1><hr><pre><a href="../">../</a>
<a href="sub/">sub/</a>                    23-Nov-2026 10:06                   -
<a href="w.bin">w.bin</a>                  23-Nov-2026 10:06              200000
</pre><hr></body></html>`,
  python: `<!DOCTYPE HTML><html><head><title>Directory listing for /models/a b/</title></head><body><h1>Directory listing for /models/a b/</h1><hr><ul>
<li><a href="sub/">sub/</a></li>
<li><a href="w.bin">w.bin@</a></li></ul><hr></body></html>`,
  apache: `<html><head><title>Index of /models/a b</title></head><body><h1>Index of /models/a b</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td valign="top">&nbsp;</td><td><a href="/models/">Parent Directory</a></td></tr>
<tr><td valign="top">&nbsp;</td><td><a href="sub/">sub/</a></td><td align="right">2026-11-23 10:06  </td><td>  - </td></tr>
<tr><td valign="top">&nbsp;</td><td><a href="w.bin">w.bin</a></td><td align="right">2026-11-23 10:06  </td><td>2.9M</td></tr></table></body></html>`,
  lighttpd: `<html><head><title>Index of /models/a b/</title></head><body><h2>Index of /models/a b/</h2><table><tbody>
<tr class="d"><td class="n"><a href="../">..</a>/</td><td class="m">&nbsp;</td></tr>
<tr class="d"><td class="n"><a href="sub/">sub</a>/</td><td class="m">2026-Nov-23 10:06:54</td><td class="s">- &nbsp;</td></tr>
<tr><td class="n"><a href="w.bin">w.bin</a></td><td class="m">2026-Nov-23 10:06:54</td><td class="s">0.2M</td></tr></tbody></table></body></html>`,
}

test.each(Object.entries(ROWS))(
  'the index page of %s is read, however it is cut',
  (server, html) => {
    const whole = readHtml(html, html.length)
    expect(whole.isIndex).toBe(true)
    expect(whole.entries.map(({ name, directory }) => [name, directory])).toEqual([
      ['sub', true],
      ['w.bin', false],
    ])
    // Only nginx tells the size to the byte.
    expect(whole.entries[1]?.sizeBytes).toBe(server === 'nginx' ? 200_000 : undefined)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), (cut) => {
        expect(readHtml(html, cut)).toEqual(whole)
      }),
      { numRuns: 20 },
    )
  },
)

test('a page that is no index is told from one', () => {
  expect(readHtml('<html><title>Welcome</title><a href="x.bin">x</a></html>', 7).isIndex).toBe(
    false,
  )
})

test('a JSON listing is read, however it is cut', () => {
  const listed = fc.array(
    fc.record({
      name: fc
        .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
        .filter((n) => !/[/\0]/.test(n) && !/^\.\.?$/.test(n)),
      type: fc.constantFrom('file', 'directory'),
      mtime: fc.constant('Mon, 23 Nov 2026 10:06:54 GMT'),
      size: fc.nat(),
    }),
    { maxLength: 20 },
  )
  fc.assert(
    fc.property(listed, fc.integer({ min: 1, max: 50 }), fc.boolean(), (rows, cut, pretty) => {
      const text = JSON.stringify(rows, null, pretty ? 2 : 0)
      const entries: ListedEntry[] = []
      const reader = jsonIndex((entry) => entries.push(entry))
      for (let at = 0; at < text.length; at += cut) reader.write(text.slice(at, at + cut))
      expect(reader.end()).toEqual({ isIndex: true, looksWhole: true })
      expect(entries.map(({ name, directory }) => ({ name, directory }))).toEqual(
        rows.map(({ name, type }) => ({ name, directory: type === 'directory' })),
      )
    }),
  )
})

test('a JSON listing that is something else, or hostile, is refused', () => {
  const read = (text: string) => {
    const reader = jsonIndex(() => undefined)
    reader.write(text)
    return reader.end()
  }
  expect(read('{"error":"no"}').isIndex).toBe(false)
  expect(read('[{"name":"a","type":"file"}').looksWhole).toBe(false)
  for (const text of [
    '[{"name":"../x","type":"file"}]',
    '[{"name":"..","type":"directory"}]',
    '[{"name":"a\\u0000","type":"file"}]',
    '[{"name":1,"type":"file"}]',
    '[{"name":{"a":1}}]',
    `[{"name":"${'a'.repeat(20_000)}`,
  ])
    expect(() => read(text), text.slice(0, 60)).toThrow(CkptdError)
})
