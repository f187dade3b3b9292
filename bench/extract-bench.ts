import { mkdirSync } from 'node:fs'
import { startDaemon } from '../test/support/daemon.ts'
import type { Scratch } from '../test/support/scratch.ts'
import { command } from './command.ts'
import { type Contender, compare } from './compare.ts'
import { fetchContender } from './fetch-contender.ts'
import { startNginx } from './nginx.ts'
import { printPeakMemory, resetPeakMemory } from './peak-memory.ts'
import { LARGE_TREE, SMALL_TREE } from './sample-trees.ts'

const KINDS = ['tar', 'tar.gz', 'zip'] as const
type Kind = (typeof KINDS)[number]

/**
 * Archives fetched and extracted, beside curl with GNU tar or unzip and a flush: through a file,
 * which an interrupted download could go on with, and through a pipe, which zip does not allow.
 */
export async function extractBench(place: Scratch): Promise<void> {
  await using daemon = await startDaemon({ scratch: place })
  const root = place.join('www')
  mkdirSync(root)
  await using nginx = await startNginx(root, 1e9)
  for (const tree of [LARGE_TREE, SMALL_TREE]) {
    const source = place.join('source')
    tree.write(source)
    for (const kind of KINDS) {
      const archive = `${root}/${tree.name}.${kind}`
      await pack(source, archive, kind)
      const url = `${nginx.address}/${tree.name}.${kind}`
      resetPeakMemory(daemon)
      await compare(
        {
          title: `fetching and extracting a .${kind} of ${tree.title}`,
          target: 1,
          place,
          // The archive and what comes out of it.
          dataBytes: 2 * tree.dataBytes,
        },
        fetchContender(daemon, url),
        kind === 'zip'
          ? [throughFile(url, place, kind)]
          : [throughFile(url, place, kind), throughPipe(url, place, kind)],
      )
      printPeakMemory(daemon)
      await command('rm', [archive])
    }
    await command('rm', ['-r', source])
  }
}

function pack(source: string, archive: string, kind: Kind): Promise<void> {
  if (kind === 'zip') return command('zip', ['-q', '-1', '-r', archive, '.'], { cwd: source })
  const filter = kind === 'tar' ? [] : ['-I', 'gzip -1']
  return command('tar', ['-C', source, ...filter, '-cf', archive, '.'])
}

function throughFile(url: string, place: Scratch, kind: Kind): Contender {
  const archive = place.join(`fetched.${kind}`)
  const tree = place.join('extracted')
  return {
    name: kind === 'zip' ? 'curl, unzip, sync -f' : 'curl, tar, sync -f',
    prepare: () => mkdirSync(tree),
    run: async () => {
      await command('curl', ['-sSf', '-o', archive, url])
      if (kind === 'zip') await command('unzip', ['-q', archive, '-d', tree])
      else await command('tar', ['-C', tree, '-xf', archive])
      await command('sync', ['-f', tree])
    },
    cleanup: () => command('rm', ['-r', archive, tree]),
  }
}

function throughPipe(url: string, place: Scratch, kind: 'tar' | 'tar.gz'): Contender {
  const tree = place.join('extracted')
  const unpack = kind === 'tar' ? 'tar -x' : 'tar -xz'
  return {
    name: `curl | ${unpack}, sync -f`,
    prepare: () => mkdirSync(tree),
    run: async () => {
      const script = `set -o pipefail; curl -sSf "$1" | ${unpack} -C "$2"`
      await command('bash', ['-c', script, 'bash', url, tree])
      await command('sync', ['-f', tree])
    },
    cleanup: () => command('rm', ['-r', tree]),
  }
}
