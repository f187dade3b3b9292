import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { removeTree } from '../../src/cache/thread/remove-tree.ts'
import { makeScratch } from '../support/scratch.ts'

it('ends only when the tree is gone, also where others remove it, or some of it, too', async () => {
  await using scratch = makeScratch('remove-tree')
  const tree = scratch.join('tree')
  for (let d = 0; d < 30; d++) {
    const directory = join(tree, `${d}`, 'below', 'further')
    mkdirSync(directory, { recursive: true })
    for (let f = 0; f < 20; f++) {
      writeFileSync(join(directory, `${f}`), '')
      writeFileSync(join(tree, `${d}-${f}`), '')
    }
  }
  const left = await Promise.all(
    Array.from({ length: 3 }, () => removeTree(tree).then(() => existsSync(tree))),
  )
  expect(left).toEqual([false, false, false])
})
