// A child process: writes two lines to the log as the daemon would.
import { loadConfig } from '../../src/daemon/load-config.ts'
import { createLog } from '../../src/daemon/log.ts'

const { config } = loadConfig({ log_format: process.argv[2] }, {})
const log = createLog(config, 'ckptd')
log.debug('below the level')
log.warn(
  {
    job: 'train',
    token: 'hidden-1',
    password: 'hidden-2',
    sealed_source: 'hidden-3',
    headers: { authorization: 'hidden-4', host: 'example' },
  },
  'something of note',
)
