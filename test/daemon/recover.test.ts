import { copyFileSync, existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runCkptd } from '../support/ckptd.ts'
import { makeScratch } from '../support/scratch.ts'
import { openTestStore, publishTree } from '../support/store.ts'

/** Name, size and times of everything in a tree. */
function snapshot(path: string): string[] {
  const { size, mtimeMs, ctimeMs } = lstatSync(path)
  const below = lstatSync(path).isDirectory() ? readdirSync(path).sort() : []
  return [
    `${path} ${size} ${mtimeMs} ${ctimeMs}`,
    ...below.flatMap((name) => snapshot(join(path, name))),
  ]
}

it('"ckptd recover --dry-run" prints what a start would do and changes nothing', async () => {
  await using scratch = makeScratch('recover')
  const data = scratch.join('data')
  {
    await using store = await openTestStore(data)
    await publishTree(store, { a: 'kept' })
    // What a killed daemon leaves: its log, which an orderly end would have folded.
    for (const name of ['ckptd.db', 'ckptd.db-wal'])
      copyFileSync(join(data, name), scratch.join(name))
    expect(lstatSync(scratch.join('ckptd.db-wal')).size).toBeGreaterThan(0)
  }
  for (const name of ['ckptd.db', 'ckptd.db-wal'])
    copyFileSync(scratch.join(name), join(data, name))
  writeFileSync(join(data, 'staging', 'left'), 'half')
  const before = snapshot(data)
  const { status, out } = await runCkptd(['recover', '--dry-run', '--data-dir', data])
  expect({ status, out }).toEqual({
    status: 0,
    out: `remove staging: ${join(data, 'staging', 'left')}\n`,
  })
  expect(snapshot(data)).toEqual(before)
})

it('"ckptd recover --dry-run" refuses a store that is open, and says where there is none', async () => {
  await using scratch = makeScratch('recover')
  await using _store = await openTestStore(scratch.join('data'))
  const dryRun = (name: string) =>
    runCkptd(['recover', '--dry-run', '--data-dir', scratch.join(name)])
  expect((await dryRun('data')).status).toBe(75)
  mkdirSync(scratch.join('empty'))
  for (const name of ['missing', 'empty']) {
    const { status, err } = await dryRun(name)
    expect(status).toBe(78)
    expect(err).toContain(`there is no store at ${scratch.join(name)}`)
  }
  expect(existsSync(scratch.join('missing'))).toBe(false)
  expect(readdirSync(scratch.join('empty'))).toEqual([])
})
