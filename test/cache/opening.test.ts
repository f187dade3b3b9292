import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { openStore } from '../../src/cache/store.ts'
import { mount } from '../../src/os/linux.ts'
import { makeScratch } from '../support/scratch.ts'
import { openTestStore, publishTree } from '../support/store.ts'
import { digestOf } from './support/digest-of.ts'

async function makeStore(directory: string): Promise<void> {
  await using store = await openTestStore(directory)
  await publishTree(store, { a: 'kept' })
}

/** Opening refuses with this code, changes nothing in the database, and lets go of the lock. */
function expectRefusal(directory: string, code: string, message: RegExp): void {
  const database = `${directory}/ckptd.db`
  const before = digestOf(readFileSync(database))
  for (let attempt = 0; attempt < 2; attempt++) {
    let refusal: unknown
    try {
      openStore(directory)
    } catch (error) {
      refusal = error
    }
    expect(refusal).toMatchObject({ code, message: expect.stringMatching(message) as string })
  }
  expect(digestOf(readFileSync(database)), 'the database is untouched').toBe(before)
}

describe('a data directory', () => {
  it('is one process’s at a time', async () => {
    await using scratch = makeScratch('opening')
    const directory = scratch.join('data')
    {
      await using _store = await openTestStore(directory)
      expect(() => openStore(directory)).toThrow(/another process/)
    }
    await using _again = await openTestStore(directory)
  })

  it('of a newer ckptd is refused', async () => {
    await using scratch = makeScratch('opening')
    await makeStore(scratch.join('data'))
    setPragma(scratch.join('data'), 'user_version = 99')
    expectRefusal(scratch.join('data'), 'store_newer', /schema 99 .* nothing was changed/)
  })

  it.each([
    ['another program’s database', 'CREATE TABLE things (a); PRAGMA application_id = 1'],
    ['a database that says nothing of whose it is', 'CREATE TABLE things (a)'],
    ['an empty database of another program', 'PRAGMA application_id = 7'],
  ])('with %s in the place of its own is refused', async (_, sql) => {
    await using scratch = makeScratch('opening')
    mkdirSync(scratch.join('data'))
    const db = new Sqlite(scratch.join('data', 'ckptd.db'))
    db.exec(sql)
    db.close()
    expectRefusal(scratch.join('data'), 'corrupt', /is not a database of ckptd/)
  })

  it('with something that is no database is refused', async () => {
    await using scratch = makeScratch('opening')
    mkdirSync(scratch.join('data'))
    writeFileSync(scratch.join('data', 'ckptd.db'), 'certainly not SQLite'.repeat(100))
    expectRefusal(scratch.join('data'), 'corrupt', /SQLITE_NOTADB/)
  })

  it.each([
    ['lost', (path: string) => rmSync(path)],
    ['emptied', (path: string) => truncateSync(path)],
  ])(
    'whose database was %s is refused while it has checkpoints, and nothing of it is removed',
    async (_, lose) => {
      await using scratch = makeScratch('opening')
      const directory = scratch.join('data')
      await makeStore(directory)
      lose(`${directory}/ckptd.db`)
      expect(() => openStore(directory)).toThrow(/missing or empty .* restore the database/)
      expect(readFileSync(`${directory}/objects/host/${digestOf('kept')}`, 'utf8')).toBe('kept')
    },
  )

  it('that lies on two mounts is refused', async () => {
    await using scratch = makeScratch('opening')
    const directory = scratch.join('data')
    await makeStore(directory)
    rmSync(`${directory}/objects`, { recursive: true })
    mkdirSync(`${directory}/objects`)
    mount('tmpfs', `${directory}/objects`, 'tmpfs', 0, '')
    expect(() => openStore(directory)).toThrow(/must lie on one mount/)
  })

  it('is brought up to date in one step and only once', async () => {
    await using scratch = makeScratch('opening')
    await makeStore(scratch.join('data'))
    const schema = (): unknown => {
      const db = new Sqlite(scratch.join('data', 'ckptd.db'), { readonly: true })
      try {
        return [db.pragma('user_version'), db.prepare('SELECT sql FROM sqlite_schema').all()]
      } finally {
        db.close()
      }
    }
    const first = schema()
    await makeStore(scratch.join('data'))
    expect(schema()).toEqual(first)
  })
})

function setPragma(directory: string, pragma: string): void {
  const db = new Sqlite(`${directory}/ckptd.db`)
  db.pragma(pragma)
  db.close()
}
