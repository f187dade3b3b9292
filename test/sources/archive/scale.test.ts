import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, createDeflateRaw } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ArchiveFormat } from '../../../src/sources/archive/archive-format.ts'
import { extraField, uint64, zipArchive } from '../../support/zip-builder.ts'
import { diskTree } from './disk-tree.ts'
import { type Bench, openBench } from './extract-into.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench[Symbol.asyncDispose]())

const MEMBERS = 20_000

test('20,000 members of each form become the same tree', async () => {
  const root = bench.scratch.join('many')
  const bytes = randomBytes(40_000)
  for (let n = 0; n < MEMBERS; n++) {
    const directory = join(root, `d${n % 100}`)
    if (n < 100) mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `member-${n}`), bytes.subarray(n, n + (n % 2000)))
  }
  const expected = diskTree(root)
  const make: Readonly<Record<ArchiveFormat, string>> = {
    tar: 'tar -cf',
    'tar.gz': 'tar -czf',
    zip: 'zip -qr',
  }
  for (const [format, command] of Object.entries(make)) {
    const archive = bench.scratch.join(`many.${format}`)
    execFileSync('bash', ['-c', `${command} '${archive}' .`], { cwd: root })
    const { error, tree } = await bench.extract(archive, { format: format as ArchiveFormat })
    expect(error).toBeUndefined()
    expect(tree).toEqual(expected)
  }
}, 600_000)

test('a member of more than 4 GiB in a zip64', async () => {
  const size = 2 ** 32 + 4096
  const { crc, packed } = await deflatedZeros(size)
  const wide = extraField(1, uint64(size))
  const archive = zipArchive(
    [{ name: 'zeros', packed, crc, size: 0xffffffff, extra: wide, localExtra: wide }],
    { zip64: true },
  )
  const { error, ingest } = await bench.extract(archive, { format: 'zip' })
  expect(error).toBeUndefined()
  expect(ingest.totals()).toMatchObject({ files: 1, stored_files: 1, stored_bytes: size })
}, 600_000)

async function deflatedZeros(size: number): Promise<{ crc: number; packed: Buffer }> {
  const zeros = Buffer.alloc(1024 * 1024)
  const deflate = createDeflateRaw({ level: 1 })
  let crc = 0
  const packed: Buffer[] = []
  deflate.on('data', (piece: Buffer) => void packed.push(piece))
  for (let at = 0; at < size; at += zeros.length) {
    const piece = zeros.subarray(0, Math.min(zeros.length, size - at))
    crc = crc32(piece, crc)
    await new Promise((resolve) => deflate.write(piece, resolve))
  }
  const ended = new Promise((resolve) => deflate.on('end', resolve))
  deflate.end()
  await ended
  return { crc, packed: Buffer.concat(packed) }
}
