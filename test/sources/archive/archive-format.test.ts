import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import {
  detectFormat,
  formatMismatch,
  proposeFormat,
} from '../../../src/sources/archive/archive-format.ts'
import { tarArchive } from '../../support/tar-builder.ts'
import { zipArchive } from '../../support/zip-builder.ts'

const tar = tarArchive({ name: 'a', data: 'b' })
const v7 = tarArchive({ name: 'a', data: 'b', magic: 'v7' })

test('a file’s suffix proposes a form', () => {
  expect(proposeFormat('model.tar')).toBe('tar')
  expect(proposeFormat('Model.TAR.GZ')).toBe('tar.gz')
  expect(proposeFormat('model.tgz')).toBe('tar.gz')
  expect(proposeFormat('model.v2.zip')).toBe('zip')
  for (const name of ['model.gz', 'model.safetensors', 'zip', '.zip', 'tar', 'a.zip.txt'])
    expect(proposeFormat(name)).toBeUndefined()
})

test('the first bytes tell the form', () => {
  expect(detectFormat(tar)).toBe('tar')
  expect(detectFormat(v7)).toBe('tar')
  expect(detectFormat(Buffer.alloc(512))).toBe('tar')
  expect(detectFormat(gzipSync(tar))).toBe('tar.gz')
  expect(detectFormat(zipArchive([]))).toBe('zip')
  expect(detectFormat(zipArchive([{ name: 'a' }]))).toBe('zip')
  expect(detectFormat(Buffer.alloc(511))).toBeUndefined()
  expect(detectFormat(Buffer.from('{"json": true}'))).toBeUndefined()
})

test.each([
  ['gzip', 'a.zip', 'zip', gzipSync(tar), /"a.zip" is zip by its name and gzip by its first bytes/],
  ['zip', 'a.tar', 'tar', zipArchive([]), /"a.tar" is tar by its name and zip by/],
  ['tar', 'a.tgz', 'tar.gz', tar, /"a.tgz" is gzip by its name and tar by/],
  ['bzip2', 'a.tar', 'tar', Buffer.from('BZh91AY'), /tar by its name and bzip2 by/],
  ['a page', 'a.tar.gz', 'tar.gz', Buffer.from('<!DOCTYPE html>'), /gzip by its name and HTML by/],
  ['nothing', 'a.tar', 'tar', Buffer.alloc(0), /"a.tar" is empty/],
] as const)('a mismatch with %s names both', (_, name, proposed, bytes, message) => {
  const error = formatMismatch(name, proposed, Buffer.from(bytes))
  expect(error?.code).toBe('bad_archive')
  expect(error?.message).toMatch(message)
})

test('no mismatch is no error', () => {
  expect(formatMismatch('a.tar', 'tar', v7)).toBeUndefined()
})
