import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { startDaemon } from '../test/support/daemon.ts'
import { makeScratch } from '../test/support/scratch.ts'
import { compare } from './compare.ts'
import { startNginx } from './nginx.ts'
import { writeLargeTree, writeSmallTree } from './sample-trees.ts'

/**
 * Archives fetched and extracted, beside fetching with curl, extracting with GNU tar or unzip,
 * and a flush. (The tools could also read a pipe; zip cannot, and a kept archive can be resumed.)
 */
export async function extractBench(): Promise<void> {
  await using scratch = makeScratch('bench-extract')
  await using daemon = await startDaemon()
  await using nginx = await startNginx(scratch.path, 1e9)
  for (const [size, write] of [
    ['large', writeLargeTree],
    ['small', writeSmallTree],
  ] as const) {
    const tree = scratch.join(size)
    write(tree)
    execFileSync('tar', ['-C', tree, '-cf', scratch.join(`${size}.tar`), '.'])
    execFileSync('tar', ['-C', tree, '-I', 'gzip -1', '-cf', scratch.join(`${size}.tar.gz`), '.'])
    execFileSync('zip', ['-q', '-1', '-r', scratch.join(`${size}.zip`), '.'], { cwd: tree })
    for (const suffix of ['tar', 'tar.gz', 'zip']) {
      const name = `${size}.${suffix}`
      const url = `${nginx.address}/${name}`
      const out = scratch.join('out')
      await compare(`fetch and extract ${name}`, 1, [
        {
          name: 'ckptd',
          run: async () => {
            await daemon.ok('POST', '/checkpoint', {
              name: 'bench',
              source_type: 'web',
              source_uri: url,
            })
            const { id } = await daemon.waitReady('bench')
            await daemon.ok('DELETE', `/checkpoint/${id}`)
          },
        },
        {
          name: suffix === 'zip' ? 'curl, unzip, sync' : 'curl, tar, sync',
          prepare: () => {
            execFileSync('rm', ['-rf', out])
            mkdirSync(out)
          },
          run: () => {
            const archive = scratch.join(`fetched.${suffix}`)
            execFileSync('curl', ['-sS', '-o', archive, url])
            if (suffix === 'zip') execFileSync('unzip', ['-q', '-o', archive, '-d', out])
            else execFileSync('tar', ['-C', out, '-xf', archive])
            execFileSync('sync', ['-f', out])
          },
        },
      ])
    }
  }
}
