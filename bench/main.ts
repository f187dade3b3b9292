// Ratios against the tools one would use instead, each pair measured in turn in one run, so that
// a machine whose speed drifts does not decide. `node bench/main.ts [NAME]…` runs some of them.
import { captureBench } from './capture-bench.ts'
import { makeDisk } from './disk.ts'
import { downloadBench } from './download-bench.ts'
import { extractBench } from './extract-bench.ts'
import { ingestBench } from './ingest-bench.ts'
import { mountBench } from './mount-bench.ts'

const BENCHES = {
  ingest: ingestBench,
  capture: captureBench,
  download: downloadBench,
  extract: extractBench,
  mount: mountBench,
}

const wanted = process.argv.slice(2)
const unknown = wanted.find((name) => !(name in BENCHES))
if (unknown !== undefined)
  throw new Error(`no bench "${unknown}"; there are ${Object.keys(BENCHES).join(', ')}`)

await using disk = await makeDisk()
for (const [name, run] of Object.entries(BENCHES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  await using place = disk.format()
  await run(place)
}
