import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeScratch, type Scratch } from '../../support/scratch.ts'
import { diskTree } from './disk-tree.ts'

let scratch: Scratch
let root: string
/** Small files, a large one that is made durable on its way, small files again. */
const SMALL_FILES = 1_400
const LARGE_BYTES = 140_000_000

beforeAll(() => {
  scratch = makeScratch('resume')
  root = scratch.join('root')
  mkdirSync(join(root, 'a'), { recursive: true })
  mkdirSync(join(root, 'z'))
  for (let n = 0; n < SMALL_FILES; n++)
    writeFileSync(join(root, n % 2 === 0 ? 'a' : 'z', `${n}`), randomBytes(200 + n))
  writeFileSync(join(root, 'large'), randomBytes(LARGE_BYTES))
  symlinkSync('a', join(root, 'link'))
  linkSync(join(root, 'a/0'), join(root, 'a/again'))
  const sh = (command: string): void => {
    const { status } = spawnSync('bash', ['-c', command], { cwd: root, stdio: 'inherit' })
    if (status !== 0) throw new Error(`${command} failed`)
  }
  sh(`tar -cf ${scratch.join('m.tar')} a large link z`)
  sh(`gzip -1 -c ${scratch.join('m.tar')} > ${scratch.join('m.tar.gz')}`)
  sh(`zip -1 -qry ${scratch.join('m.zip')} a large link z`)
}, 120_000)
afterAll(() => scratch[Symbol.asyncDispose]())

function child(args: readonly string[], failpoint = '') {
  return spawnSync(
    process.execPath,
    [fileURLToPath(new URL('extraction-child.ts', import.meta.url)), ...args],
    { encoding: 'utf8', maxBuffer: 2 ** 28, env: { ...process.env, CKPTD_FAILPOINT: failpoint } },
  )
}

interface Answer {
  readonly error?: string
  readonly tree: Record<string, string>
  readonly writtenBytes: number
  readonly writtenFiles: number
}

let serial = 0
function killThenResume(format: string, failpoints: readonly string[]): Answer {
  const data = scratch.join(`data-${serial++}`)
  const id = child([data, 'begin']).stdout.trim()
  const args = [data, 'extract', id, format, scratch.join(`m.${format}`)]
  for (const failpoint of failpoints)
    expect(child(args, `${failpoint}=kill`).signal, failpoint).toBe('SIGKILL')
  const { stderr, stdout } = child(args)
  if (stdout === '') throw new Error(stderr)
  const leftovers = readdirSync(join(data, 'staging', id))
  expect(leftovers.filter((name) => name.includes('.'))).toEqual([])
  return JSON.parse(stdout) as Answer
}

/** Zip has no hard links: the second name is a file of its own there. */
const files = (format: string): number => SMALL_FILES + (format === 'zip' ? 2 : 1)

const FEW = ['ingest.flushed', 'ingest.progress-flushed', 'ingest.recorded:2']
const ALL = [
  ...FEW,
  'ingest.written',
  'ingest.hashed:2',
  'ingest.placed:2',
  'ingest.directory-flushed',
  'transfer.extracted',
]

describe.each([
  ['tar', ALL],
  ['tar.gz', FEW],
  ['zip', FEW],
])('an extraction of a %s that was killed', (format, failpoints) => {
  test.each(failpoints)('at %s ends in the same tree', (failpoint) => {
    const { error, tree } = killThenResume(format, [failpoint])
    expect(error).toBeUndefined()
    expect(tree).toEqual(diskTree(root))
  })

  test('writes again only what was not stored, and not what is durable of a large file', () => {
    const again = killThenResume(format, ['ingest.recorded', 'ingest.progress-flushed:2'])
    expect(again.tree).toEqual(diskTree(root))
    expect(again.writtenFiles).toBeLessThan(files(format))
    expect(again.writtenBytes).toBeLessThan(LARGE_BYTES)
    const nothing = killThenResume(format, ['transfer.extracted'])
    expect(nothing.tree).toEqual(diskTree(root))
    expect(nothing.writtenFiles).toBe(0)
  })
})
