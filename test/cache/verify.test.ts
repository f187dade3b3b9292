import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/cache/store.ts'
import { type Damage, verifyStore } from '../../src/cache/verify.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { publishTree } from '../support/store.ts'
import { digestOf } from './support/digest-of.ts'
import { readTree } from './support/read-tree.ts'
import { useStore } from './support/use-store.ts'
import { manifestOf, viewPath } from './support/view-path.ts'

const shared = useStore()

function objectPath(store: Store, content: string): string {
  const sha256 = digestOf(content)
  return store.layout.object({ domain: 'host', sha256, executable: false, copy: 0 })
}

async function verify(store: Store, manifestId?: number): Promise<Damage[]> {
  const bad: Damage[] = []
  await verifyStore(store.context, {
    ...(manifestId === undefined ? {} : { manifestId }),
    signal: new AbortController().signal,
    onProgress: () => undefined,
    onBad: (found) => bad.push(found),
  })
  return bad
}

/** What a disk does to bytes behind everybody's back. */
function flipByte(path: string): void {
  const { atime, mtime } = statSync(path)
  const bytes = readFileSync(path)
  bytes[0] = (bytes[0] ?? 0) ^ 1
  chmodSync(path, 0o600)
  writeFileSync(path, bytes)
  chmodSync(path, 0o444)
  utimesSync(path, atime, mtime)
}

describe('verifying', () => {
  it('finds nothing in a sound store', async () => {
    const { store } = shared
    await publishTree(store, { a: 'sound', 'b/c': 'also sound', run: { executable: 'sound' } })
    expect(await verify(store)).toEqual([])
  })

  it.each<[string, (path: string) => void, RegExp]>([
    ['a flipped bit', flipByte, /the bytes have SHA-256/],
    ['a lost end', (path) => truncateSync(path, 3), /has 3 bytes instead of/],
    ['a missing file', (path) => rmSync(path), /the file is missing/],
    ['a mode that lets it be written', (path) => chmodSync(path, 0o644), /mode 644 instead of 444/],
  ])(
    'finds %s, names who has it, and repairs it with the next ingest',
    async (what, damage, problem) => {
      const { store } = shared
      const content = `damaged by ${what}`
      const tree = { 'weights.bin': content, 'deep/copy': content, other: 'fine' }
      const id = await publishTree(store, tree, { name: 'damaged' })
      const before = await store.views.ensure(manifestOf(store, id))
      damage(objectPath(store, content))

      const [bad, ...others] = await verify(store, manifestOf(store, id))
      expect(others).toEqual([])
      expect(bad?.problem).toMatch(problem)
      expect(bad?.checkpoints.map(({ checkpoint, paths }) => [checkpoint.id, paths])).toEqual([
        [id, ['deep/copy', 'weights.bin']],
      ])
      expect(existsSync(objectPath(store, content))).toBe(false)
      expect(store.database.views.get(before.id)?.state).toBe('retired')
      await expect(store.views.ensure(manifestOf(store, id))).rejects.toMatchObject({
        code: 'corrupt',
      })
      expect(await verify(store, manifestOf(store, id))).toMatchObject([
        { problem: 'it is quarantined' },
      ])

      await publishTree(store, { again: content }, { name: 'repair' })
      const after = await store.views.ensure(manifestOf(store, id))
      expect(after.generation).toBe(before.generation + 1)
      expect(readTree(await viewPath(store, id))).toEqual(tree)
      await store.views.removeDisposable()
      await assertStoreInvariants(store)
    },
  )

  it('keeps the damaged bytes aside for whoever wants to look', async () => {
    const { store } = shared
    const id = await publishTree(store, { a: 'kept aside' })
    flipByte(objectPath(store, 'kept aside'))
    await verify(store, manifestOf(store, id))
    expect(readdirSync(store.layout.quarantine).join()).toContain(digestOf('kept aside'))
  })

  it('moves no sound file aside that comes in while the damaged one is being moved', async () => {
    const { store } = shared
    for (let round = 0; round < 8; round++) {
      const content = `raced ${round}`
      const id = await publishTree(store, { a: content })
      flipByte(objectPath(store, content))
      const [bad] = await Promise.all([
        verify(store, manifestOf(store, id)),
        publishTree(store, { b: content }).catch((error: unknown) => error),
        publishTree(store, { c: content }).catch((error: unknown) => error),
      ])
      expect(bad.length).toBe(1)
      await publishTree(store, { d: content })
      expect(readTree(await viewPath(store, id))).toEqual({ a: content })
      expect(await verify(store, manifestOf(store, id))).toEqual([])
    }
    await store.views.removeDisposable()
  })

  it('lets no view be recorded that was being built when an object of it was found damaged', async () => {
    const { store } = shared
    const tree = Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`f${n}`, `built ${n}`]))
    const id = await publishTree(store, tree)
    const manifestId = manifestOf(store, id)
    store.database.views.retireOfManifest(manifestId)
    flipByte(objectPath(store, 'built 0'))
    const building = store.views.ensure(manifestId).then(
      () => 'recorded',
      (error: Error) => error.message,
    )
    const [, outcome] = await Promise.all([
      verify(store, manifestId).then(() => publishTree(store, { repaired: 'built 0' })),
      building,
    ])
    // Whichever came first, what can be mounted now holds the sound bytes.
    expect(outcome).toBeTypeOf('string')
    expect(readTree(await viewPath(store, id))).toEqual(tree)
  })

  it.each<[string, (root: string) => void, RegExp]>([
    ['a file is missing from', (root) => rmSync(join(root, 'd/b')), /"d\/b" .* is missing/],
    ['a file was added to', (root) => writeFileSync(join(root, 'd/new'), ''), /5 entries .* 4/],
    [
      'a file was replaced in',
      (root) => {
        rmSync(join(root, 'd/b'))
        writeFileSync(join(root, 'd/b'), 'BB', { mode: 0o444 })
      },
      /"d\/b" .* is not linked to its object/,
    ],
    [
      'a link leads elsewhere in',
      (root) => {
        rmSync(join(root, 'd/link'))
        symlinkSync('../a', join(root, 'd/link'))
      },
      /"d\/link" .* leads elsewhere/,
    ],
    ['a directory may be written in', (root) => chmodSync(join(root, 'd'), 0o755), /mode 755/],
  ])('finds that %s a view, and has it built anew', async (_, damage, problem) => {
    const { store } = shared
    const tree = { a: 'aa', 'd/b': 'bb', 'd/link': { link: 'b' } }
    const id = await publishTree(store, tree, { name: 'viewed' })
    const root = await viewPath(store, id)
    damage(root)
    const [bad, ...others] = await verify(store, manifestOf(store, id))
    expect(others).toEqual([])
    expect(bad?.kind).toBe('view')
    expect(bad?.problem).toMatch(problem)
    expect(bad?.checkpoints.map(({ checkpoint }) => checkpoint.id)).toContain(id)
    expect(await viewPath(store, id)).not.toBe(root)
    expect(await verify(store, manifestOf(store, id))).toEqual([])
    await store.views.removeDisposable()
  })

  it('finds a damaged manifest, from which nothing is built, and the same tree mends it', async () => {
    const { store } = shared
    const tree = { listed: 'in a manifest' }
    const id = await publishTree(store, tree, { name: 'listed' })
    const manifestId = manifestOf(store, id)
    const path = store.layout.manifest(
      'host',
      store.database.manifests.get(manifestId)?.digest as never,
    )
    const text = readFileSync(path, 'utf8')
    chmodSync(path, 0o600)
    // A canonical line of another name.
    writeFileSync(path, text.replace('"listed"', '"lifted"'))
    chmodSync(path, 0o444)
    expect(await verify(store, manifestId)).toMatchObject([
      { kind: 'manifest', problem: expect.stringMatching(/SHA-256/) as string },
    ])
    store.database.views.retireOfManifest(manifestId)
    await expect(store.views.ensure(manifestId)).rejects.toMatchObject({ code: 'corrupt' })
    await publishTree(store, tree, { name: 'again' })
    expect(await verify(store, manifestId)).toEqual([])
    expect(readTree(await viewPath(store, id))).toEqual(tree)
  })

  it('goes on where a manifest is damaged too', async () => {
    const { store } = shared
    const id = await publishTree(store, { a: 'without a manifest' })
    const manifest = store.database.manifests.get(manifestOf(store, id))
    if (manifest === undefined) throw new Error('no manifest')
    rmSync(store.layout.manifest('host', manifest.digest))
    flipByte(objectPath(store, 'without a manifest'))
    const [bad] = await verify(store, manifest.id)
    expect(bad?.checkpoints.map(({ checkpoint, paths }) => [checkpoint.id, paths])).toEqual([
      [id, []],
    ])
    // The same tree once more mends both.
    await publishTree(store, { a: 'without a manifest' })
    expect(readTree(await viewPath(store, id))).toEqual({ a: 'without a manifest' })
  })

  it('stops when it is asked to', async () => {
    const { store } = shared
    const stop = AbortSignal.abort(new Error('enough'))
    const asked = verifyStore(store.context, {
      signal: stop,
      onProgress: () => undefined,
      onBad: () => undefined,
    })
    await expect(asked).rejects.toThrow('enough')
  })
})
