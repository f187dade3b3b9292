import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Ingest } from '../../src/cache/ingest.ts'
import { parseProject } from '../../src/model/ids.ts'
import { parseRelativePath } from '../../src/model/relative-path.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { beginIngest, publishTree, storeTree, type TreeSpec } from '../support/store.ts'
import { digestOf } from './support/digest-of.ts'
import { readTree } from './support/read-tree.ts'
import { useStore } from './support/use-store.ts'
import { manifestOf, viewPath } from './support/view-path.ts'
import { watchSealing } from './support/watch-sealing.ts'

const shared = useStore()

describe('an ingest', () => {
  it.each<[string, TreeSpec]>([
    ['nothing at all', {}],
    [
      'empty files and empty directories',
      { 'empty.txt': '', 'a/b/c': null, 'run.sh': { executable: '' } },
    ],
    [
      'one content as a plain and as an executable file',
      { plain: 'same', tool: { executable: 'same' } },
    ],
    [
      'links that stay inside, through others too',
      {
        'models/v1/weights': 'w',
        current: { link: 'models/v1' },
        weights: { link: 'current/weights' },
        'models/up': { link: '../models/../weights' },
        dangling: { link: 'nowhere/yet' },
        here: { link: '.' },
      },
    ],
    [
      'names that differ by case or Unicode form only',
      { README: '1', readme: '2', '\u00e9': 'composed', 'e\u0301': 'decomposed' },
    ],
    [
      'names that need care',
      {
        'line\nfeed': '1',
        '"quoted"': '2',
        "it's": '3',
        'back\\slash': '4',
        ' ': '5',
        '-rf': '6',
        '\u{7f}\u{1}': '7',
        '😀/\u{ffff}/\u{2028}': '8',
        ['x'.repeat(255)]: '9',
        ['é'.repeat(127)]: '10',
        __proto__: '11',
        constructor: '12',
      },
    ],
  ])('keeps %s', async (_, tree) => {
    const { store } = shared
    const id = await publishTree(store, tree)
    const own = Object.fromEntries(Object.entries(tree))
    expect(readTree(await viewPath(store, id))).toEqual(own)
    await assertStoreInvariants(store)
  })

  it('keeps any tree of any names, and the same tree is the same manifest', async () => {
    const { store } = shared
    const part = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
      .filter(
        (text) => text !== '.' && text !== '..' && !/[/\0]/.test(text) && text !== '__proto__',
      )
    const trees = fc.dictionary(part, fc.string({ maxLength: 20 }), { maxKeys: 12 })
    await fc.assert(
      fc.asyncProperty(trees, async (tree) => {
        const first = await publishTree(store, tree)
        const second = await publishTree(
          store,
          Object.fromEntries(Object.entries(tree).toReversed()),
        )
        expect(manifestOf(store, first)).toBe(manifestOf(store, second))
        expect(readTree(await viewPath(store, first))).toEqual({ ...tree })
      }),
      { numRuns: 25 },
    )
  })

  const path = parseRelativePath
  it.each<[string, (ingest: Ingest) => void, RegExp]>([
    ['a second file of one name', (i) => i.planFiles([plan('a'), plan('a')]), /two entries/],
    ['a file where a directory is', (i) => i.planFiles([plan('a/b'), plan('a')]), /two entries/],
    [
      'an entry below a file',
      (i) => i.planFiles([plan('a'), plan('a/b')]),
      /below "a", which is a file/,
    ],
    [
      'an entry below a link',
      (i) => {
        i.addSymlink(path('a'), 'b')
        i.planFiles([plan('a/c')])
      },
      /below "a", which is a symlink/,
    ],
    [
      'a directory where a link is',
      (i) => {
        i.addSymlink(path('a'), 'b')
        i.addDirectory(path('a'))
      },
      /two entries/,
    ],
    [
      'a link where a file is',
      (i) => {
        i.planFiles([plan('a')])
        i.addSymlink(path('a'), 'b')
      },
      /two entries/,
    ],
  ])('refuses %s, and goes on as if it had not been asked', async (_, add, message) => {
    const { store } = shared
    const { id, ingest } = beginIngest(store)
    expect(() => ingest.together(() => add(ingest))).toThrow(message)
    expect(ingest.totals().entries).toBe(0)
    await storeTree(ingest, { 'a/b/c': 'fine' })
    await store.publisher.publish(id, Date.now())
    await store.removal.dropIngest(id)
    expect(readTree(await viewPath(store, id))).toEqual({ 'a/b/c': 'fine' })
  })

  it.each([
    ['up and out', { 'a/link': { link: '../../etc/passwd' } }],
    ['an absolute path', { link: { link: '/etc/passwd' } }],
    ['out through another link', { 'a/b/in': { link: '../..' }, out: { link: 'a/b/in/..' } }],
    ['in circles', { a: { link: 'b' }, b: { link: 'a' } }],
  ] satisfies [string, TreeSpec][])('refuses to publish a link that leads %s', async (_, tree) => {
    const { store } = shared
    await expect(publishTree(store, tree)).rejects.toMatchObject({ code: 'invalid_path' })
    await assertStoreInvariants(store)
  })

  it('stores nothing of a file that is not what its origin vouches for', async () => {
    const { store } = shared
    const { ingest } = beginIngest(store)
    const file = join(ingest.directory, 'staged')
    writeFileSync(file, 'tampered')
    const wrong = { path: path('a'), file, executable: false }
    await expect(ingest.storeFile({ ...wrong, sizeBytes: 9 })).rejects.toMatchObject({
      code: 'digest_mismatch',
    })
    await expect(
      ingest.storeFile({ ...wrong, sizeBytes: 8, sha256: digestOf('original') }),
    ).rejects.toMatchObject({ code: 'digest_mismatch', details: { path: 'a' } })
    for (const content of ['tampered', 'original'])
      expect(readdirSync(join(store.layout.objects, 'host'))).not.toContain(digestOf(content))
  })
})

describe('a content that is here already', () => {
  it('is one object for all projects of a host that shares, and one each where projects do not', async () => {
    const { store } = shared
    const before = store.database.usage.getStore().objects
    const tree = { a: 'shared content', 'b/again': 'shared content' }
    await publishTree(store, tree, { project: 'one' })
    await publishTree(store, tree, { project: 'two' })
    expect(store.database.usage.getStore().objects - before).toBe(1)
    for (const project of ['one', 'two'])
      await publishTree(store, tree, { project, domain: `project-${parseProject(project)}` })
    expect(store.database.usage.getStore().objects - before).toBe(3)
    await assertStoreInvariants(store)
  })

  it('is read, checked and flushed all the same, and answered the same', async () => {
    const { store } = shared
    const bring = async (project: string, content: string) => {
      const { ingest } = beginIngest(store, { project })
      const sealing = watchSealing(store)
      await storeTree(ingest, { a: content, 'dir/b': `${content}!` })
      const [row] = [...ingest.iterate()].filter(({ kind }) => kind === 'file')
      return {
        sealed: sealing.stop(),
        totals: ingest.totals(),
        entry: { ...row, checkpoint_id: '', object_id: 0, sha256: '' },
      }
    }
    const first = await bring('one', 'secret')
    const known = await bring('two', 'secret')
    const unknown = await bring('two', 'public')
    expect(known).toEqual(unknown)
    expect(known).toEqual(first)
    expect(first.sealed).toEqual([2])
  })

  it('is found by its bytes only: a digest that is claimed and not sent yields nothing', async () => {
    const { store } = shared
    await publishTree(store, { a: 'secret' }, { project: 'one' })
    const { ingest } = beginIngest(store, { project: 'two' })
    const file = join(ingest.directory, 'staged')
    writeFileSync(file, 'guess!')
    await expect(
      ingest.storeFile({
        path: path('a'),
        file,
        executable: false,
        sizeBytes: 6,
        sha256: digestOf('secret'),
      }),
    ).rejects.toMatchObject({ code: 'digest_mismatch' })
    expect(ingest.hasStored(path('a'))).toBe(false)
  })

  it('leaves no staging file behind', async () => {
    const { store } = shared
    await publishTree(store, { a: 'content' })
    const { id, ingest } = beginIngest(store)
    await storeTree(ingest, { a: 'content', b: '' })
    await store.publisher.publish(id, Date.now())
    expect(readdirSync(ingest.directory)).toEqual([])
    await store.removal.dropIngest(id)
    expect(existsSync(ingest.directory)).toBe(false)
  })

  const path = parseRelativePath
})

function plan(name: string) {
  return { path: parseRelativePath(name), sizeBytes: 1, plan: null }
}
