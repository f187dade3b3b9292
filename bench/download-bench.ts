import { mkdirSync, truncateSync } from 'node:fs'
import { formatBytes } from '../src/model/size-text.ts'
import { startDaemon } from '../test/support/daemon.ts'
import type { Scratch } from '../test/support/scratch.ts'
import { command } from './command.ts'
import { type Contender, compare } from './compare.ts'
import { fetchContender } from './fetch-contender.ts'
import { startNginx } from './nginx.ts'
import { printPeakMemory, resetPeakMemory } from './peak-memory.ts'
import { SMALL_TREE, writeLargeFile } from './sample-trees.ts'
import { LARGE_BYTES } from './sizes.ts'

const THROTTLED_BYTES_PER_SECOND = 8 * 1024 * 1024
const THROTTLED_BYTES = LARGE_BYTES / 4

/** Files fetched, hashed and durable, beside curl and aria2c with a flush. */
export async function downloadBench(place: Scratch): Promise<void> {
  await using daemon = await startDaemon({ scratch: place })
  const root = place.join('www')
  mkdirSync(root)
  await using nginx = await startNginx(root, THROTTLED_BYTES_PER_SECOND)

  const file = place.join('www/model.bin')
  writeLargeFile(file, LARGE_BYTES)
  const plain = `${nginx.address}/model.bin`
  resetPeakMemory(daemon)
  await compare(
    {
      title: `download of ${formatBytes(LARGE_BYTES)} in one file`,
      target: 0.9,
      place,
      dataBytes: LARGE_BYTES,
    },
    fetchContender(daemon, plain),
    [curl(plain, place), aria2(plain, place)],
  )
  printPeakMemory(daemon)

  truncateSync(file, THROTTLED_BYTES)
  const throttled = `${nginx.address}/throttled/model.bin`
  resetPeakMemory(daemon)
  await compare(
    {
      title: `download of ${formatBytes(THROTTLED_BYTES)}, ${formatBytes(THROTTLED_BYTES_PER_SECOND)}/s a connection`,
      target: 1,
      place,
      dataBytes: THROTTLED_BYTES,
    },
    fetchContender(daemon, throttled),
    [aria2(throttled, place)],
  )
  printPeakMemory(daemon)

  SMALL_TREE.write(place.join('www/small'))
  resetPeakMemory(daemon)
  await compare(
    {
      title: `download of a directory of ${SMALL_TREE.title}`,
      place,
      dataBytes: SMALL_TREE.dataBytes,
    },
    fetchContender(daemon, `${nginx.address}/small/`),
    [],
  )
  printPeakMemory(daemon)
}

function curl(url: string, place: Scratch): Contender {
  const file = place.join('curl.bin')
  return {
    name: 'curl, sync',
    run: async () => {
      await command('curl', ['-sSf', '-o', file, url])
      await command('sync', [file])
    },
    cleanup: () => command('rm', [file]),
  }
}

function aria2(url: string, place: Scratch): Contender {
  const file = place.join('aria2.bin')
  return {
    name: 'aria2c -x16, sync',
    run: async () => {
      await command('aria2c', [
        '-q',
        '-x16',
        '-s16',
        '-k1M',
        '--file-allocation=none',
        '-d',
        place.path,
        '-o',
        'aria2.bin',
        url,
      ])
      await command('sync', [file])
    },
    cleanup: () => command('rm', [file]),
  }
}
