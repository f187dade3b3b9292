import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const src = join(root, 'src')

/** Folder → the folders it may import from: the table of docs/architecture.md. */
function readTable(): Map<string, Set<string>> {
  const folders = readdirSync(src, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  )
  const table = new Map<string, Set<string>>()
  for (const line of readFileSync(join(root, 'docs/architecture.md'), 'utf8').split('\n')) {
    const match = /^\| `src\/([a-z-]+)` \|.*\| ([^|]+) \|$/.exec(line)
    if (match === null) continue
    const text = match[2] ?? ''
    const named = [...text.matchAll(/`([a-z-]+)`/g)].map((found) => found[1] ?? '')
    const everythingBut = text.startsWith('everything but')
    table.set(
      match[1] ?? '',
      new Set(everythingBut ? folders.filter((name) => !named.includes(name)) : named),
    )
  }
  return table
}

interface Import {
  readonly file: string
  readonly from: string
  readonly to: string
}

function imports(): Import[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) =>
      [...readFileSync(join(src, name), 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(
        (match) => {
          const target = relative(src, resolve(src, dirname(name), match[1] ?? ''))
          return { file: name, from: name.split('/')[0] ?? '', to: target.split('/')[0] ?? '' }
        },
      ),
    )
}

function violations(table: Map<string, Set<string>>, all: readonly Import[]): string[] {
  return all
    .filter(({ from, to }) => from !== to && !table.get(from)?.has(to))
    .map(({ file, to }) => `${file} imports from ${to}`)
}

describe('the folders of src', () => {
  const table = readTable()

  it('stand in the table of docs/architecture.md, each of them', () => {
    const folders = readdirSync(src, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect([...table.keys()].sort()).toEqual(folders.map(({ name }) => name).sort())
  })

  it('import one way only, as the table says', () => {
    const all = imports()
    expect(all.length).toBeGreaterThan(100)
    expect(violations(table, all)).toEqual([])
  })

  it('would be caught importing the other way', () => {
    const planted = { file: 'model/planted.ts', from: 'model', to: 'daemon' }
    expect(violations(table, [planted])).toEqual(['model/planted.ts imports from daemon'])
  })
})
