import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ArchiveFormat } from '../../../src/sources/archive/archive-format.ts'
import { diskTree } from './disk-tree.ts'
import { type Bench, openBench } from './extract-into.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench[Symbol.asyncDispose]())

const name = fc.oneof(
  fc.constantFrom('a', 'b', 'A', 'caf\u00e9', 'cafe\u0301', '._a', '.hidden', '模', '-x', 'sp ace'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 90 }),
)
// What a name on disk may be; a backslash is refused in a zip, and tested there.
const part = name.filter(
  (text) =>
    !/[/\\\0]/.test(text) && text !== '.' && text !== '..' && Buffer.byteLength(text) <= 255,
)
const entry = fc.record({
  path: fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
  what: fc.oneof(
    fc.record({ data: fc.uint8Array({ maxLength: 3000 }), executable: fc.boolean() }),
    fc.record({ target: part }),
    fc.constant(null),
  ),
})

type Entry = typeof entry extends fc.Arbitrary<infer T> ? T : never

function makeTree(root: string, entries: readonly Entry[]): void {
  mkdirSync(root)
  for (const { path, what } of entries)
    try {
      const file = join(root, path)
      mkdirSync(dirname(file), { recursive: true })
      if (what === null) mkdirSync(file)
      else if ('target' in what) symlinkSync(what.target, file)
      else {
        writeFileSync(file, what.data, { flag: 'wx' })
        if (what.executable) chmodSync(file, 0o755)
      }
    } catch (error) {
      // Two entries in each other's way: the first one stays.
      if (
        !['EEXIST', 'ENOTDIR', 'ELOOP', 'ENOENT'].includes(
          String((error as NodeJS.ErrnoException).code),
        )
      )
        throw error
    }
}

const COMMANDS: readonly (readonly [string, ArchiveFormat, string])[] = [
  ['GNU tar', 'tar', 'tar --format=gnu -cf "$1" .'],
  ['GNU tar in pax, compressed', 'tar.gz', 'tar --format=pax -czf "$1" .'],
  ['zip', 'zip', 'LC_ALL=C.UTF-8 zip -qry "$1" .'],
]

let serial = 0
test.each(COMMANDS)('any tree packed by %s comes out the same', async (_, format, command) => {
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 12 }), async (entries) => {
      const root = bench.scratch.join(`tree-${serial++}`)
      makeTree(root, entries)
      const archive = `${root}.${format}`
      execFileSync('bash', ['-c', command, '', archive], { cwd: root })
      const { error, tree } = await bench.extract(archive, { format })
      expect(error).toBeUndefined()
      expect(tree).toEqual(diskTree(root))
    }),
    { numRuns: 12 },
  )
})
