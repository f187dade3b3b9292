import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EMPTY_SHA256, parseSha256 } from '../../src/model/digest.ts'
import {
  encodeManifestEntry,
  MANIFEST_HEADER,
  type ManifestEntry,
  parseManifestEntry,
} from '../../src/model/manifest-entry.ts'
import { compareUtf8, parseRelativePath, type RelativePath } from '../../src/model/relative-path.ts'

const golden = new URL('../fixtures/manifest/v1.jsonl', import.meta.url)

/** Every kind of entry and every kind of character that a path may have. */
const ENTRIES: ManifestEntry[] = [
  { path: 'a' as RelativePath, kind: 'directory' },
  {
    path: 'a-b' as RelativePath,
    kind: 'file',
    sizeBytes: 3,
    sha256: parseSha256('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'),
    executable: false,
  },
  {
    path: 'a/empty' as RelativePath,
    kind: 'file',
    sizeBytes: 0,
    sha256: EMPTY_SHA256,
    executable: true,
  },
  { path: 'a/link' as RelativePath, kind: 'symlink', target: '../a-b' },
  { path: 'quote"back\\slash' as RelativePath, kind: 'directory' },
  { path: 'tab\tnew\nline\u0001\u007f' as RelativePath, kind: 'directory' },
  { path: 'ümlaut' as RelativePath, kind: 'directory' },
  { path: 'u\u0308mlaut' as RelativePath, kind: 'directory' },
  { path: 'line\u2028separator' as RelativePath, kind: 'directory' },
  { path: 'private\uffee' as RelativePath, kind: 'directory' },
  { path: 'private😀' as RelativePath, kind: 'directory' },
]

describe('the manifest format, version 1', () => {
  it('is frozen: these entries are these bytes, and this digest', () => {
    const sorted = [...ENTRIES].sort((a, b) => compareUtf8(a.path, b.path))
    const text = `${[MANIFEST_HEADER, ...sorted.map(encodeManifestEntry)].join('\n')}\n`
    expect(text).toBe(readFileSync(golden, 'utf8'))
    expect(createHash('sha256').update(text).digest('hex')).toBe(
      '78af2c30f32eddfa9995b655885aad14b14fb24b68992754063543484ee5b192',
    )
  })

  it('reads back what it wrote', () => {
    for (const entry of ENTRIES)
      expect(parseManifestEntry(encodeManifestEntry(entry))).toEqual(entry)
  })

  it.each([
    ['another key order', '{"kind":"directory","path":"a"}'],
    ['white space', '{"path": "a","kind":"directory"}'],
    ['an unneeded escape', '{"path":"\\u0061","kind":"directory"}'],
    ['an unknown kind', '{"path":"a","kind":"device"}'],
    ['a path that leaves the tree', '{"path":"../a","kind":"directory"}'],
    [
      'a digest in capitals',
      `{"path":"a","kind":"file","size":1,"sha256":"${'A'.repeat(64)}","executable":false}`,
    ],
    [
      'a negative size',
      `{"path":"a","kind":"file","size":-1,"sha256":"${'a'.repeat(64)}","executable":false}`,
    ],
    ['no JSON', 'a'],
  ])('refuses a line with %s', (_, line) => {
    expect(() => parseManifestEntry(line)).toThrow(/bad line/)
  })
})

describe('compareUtf8', () => {
  it('orders as the UTF-8 bytes do, for every pair of strings', () => {
    const text = fc.string({ unit: 'binary' }).filter((s) => s.isWellFormed())
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
    )
  })
})

describe('parseRelativePath', () => {
  it.each([
    '',
    '/a',
    'a//b',
    'a/',
    './a',
    'a/..',
    '..',
    'a\0b',
    '\ud800',
    'x'.repeat(256),
    `${'ab/'.repeat(800)}c`,
  ])('refuses %j', (name) => {
    expect(() => parseRelativePath(name)).toThrow(/is refused/)
  })
  it('takes every other name, whatever its characters', () => {
    const part = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .filter((s) => s.isWellFormed() && !/[/\0]/.test(s) && s !== '.' && s !== '..')
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        expect(parseRelativePath(parts.join('/'))).toBe(parts.join('/'))
      }),
    )
  })
})
