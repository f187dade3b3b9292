import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

test.each(DOCUMENTS)('%s names only files that exist', (document) => {
  const text = readFileSync(join(ROOT, document), 'utf8')
  const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, path = '']) =>
    join(dirname(document), path),
  )
  // A pattern ("src/cache/*") is not a path.
  const paths = [
    ...text.matchAll(/`((?:src|test|docs|scripts|systemd|bench|bin)\/[\w./-]+)`/g),
  ].map(([, path = '']) => path)
  const missing = [...links, ...paths].filter((path) => !existsSync(join(ROOT, path)))
  expect(missing).toEqual([])
})

test('every invariant names tests that exist', () => {
  const text = readFileSync(join(ROOT, 'docs/invariants.md'), 'utf8')
  const rows = [...text.matchAll(/^\| (\d+) \|.*\|(.*)\|$/gm)]
  expect(rows.map(([, number]) => Number(number))).toEqual(
    Array.from({ length: rows.length }, (_, index) => index + 1),
  )
  expect(rows.length).toBeGreaterThanOrEqual(15)
  for (const [, number, shownBy = ''] of rows)
    expect(shownBy, `invariant ${number}`).toMatch(/`test\/[\w/-]+\.test\.ts`/)
})
