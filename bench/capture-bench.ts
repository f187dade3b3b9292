import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Scratch } from '../test/support/scratch.ts'
import { openTestStore } from '../test/support/store.ts'
import { command } from './command.ts'
import { type Contender, compare } from './compare.ts'
import { LARGE_TREE } from './sample-trees.ts'
import { takenOver } from './taken-over.ts'

/** Capture of 2 GiB, which hashes and links, beside OpenSSL hashing on all cores. */
export async function captureBench(place: Scratch): Promise<void> {
  await using store = await openTestStore(place.join('store'))
  await compare(
    {
      title: `capture of ${LARGE_TREE.title}`,
      target: 1.25,
      place,
      dataBytes: LARGE_TREE.dataBytes,
    },
    takenOver(LARGE_TREE, store),
    [openssl(place.join('hashed'))],
  )
}

function openssl(tree: string): Contender {
  return {
    name: 'openssl on all cores',
    prepare: () => LARGE_TREE.write(tree),
    run: () =>
      command('sh', [
        '-c',
        'printf "%s\\0" "$@" | xargs -0 -n 1 -P "$(nproc)" openssl dgst -sha256',
        'sh',
        ...readdirSync(tree).map((name) => join(tree, name)),
      ]),
    cleanup: () => command('rm', ['-r', tree]),
  }
}
