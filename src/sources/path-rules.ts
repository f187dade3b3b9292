/** What every kind of source wants of its path and takes as options (the product's table). */
export interface PathRule {
  /** Completes "a path of this source …". */
  readonly rule: string
  readonly example: string
  readonly accepts: (path: string, options: Readonly<Record<string, string>>) => boolean
  /** Names of the options, and the values an option is limited to. */
  readonly options?: Readonly<Record<string, readonly string[] | 'any'>>
  readonly requiredOptions?: readonly string[]
}

const OWNER_AND_NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/
const SHORT_NAME = /^[A-Za-z0-9][\w.-]*$/
const GIT_ADDRESS = /^(?:https?:\/\/[^/]+\/.+|ssh:\/\/[^/]+\/.+|[\w.-]+@[\w.-]+:(?!\/\/).+)$/i

const beginsWith =
  (...prefixes: string[]) =>
  (path: string): boolean =>
    prefixes.some((prefix) => path.length > prefix.length && path.toLowerCase().startsWith(prefix))

export const PATH_RULES = {
  aws: {
    rule: 'begins with s3://',
    example: 's3://my-bucket/models/llama/',
    accepts: beginsWith('s3://'),
  },
  azure: {
    rule: 'begins with https://',
    example: 'https://account.blob.core.windows.net/container/models/',
    accepts: beginsWith('https://'),
  },
  huggingface: {
    rule: 'has the form <namespace>/<repo>',
    example: 'mistralai/Mistral-7B-v0.1',
    accepts: (path) => OWNER_AND_NAME.test(path),
    options: { branch: 'any' },
  },
  gcp: {
    rule: 'begins with gs://',
    example: 'gs://my-bucket/models/llama/',
    accepts: beginsWith('gs://'),
  },
  git: {
    rule: 'is an http(s) or ssh repository address',
    example: 'https://github.com/owner/repo.git',
    accepts: (path) => GIT_ADDRESS.test(path),
    options: { branch: 'any' },
  },
  kaggle: {
    rule: 'is the short name of a competition, or owner/name of a dataset or kernel, as the option "type" says',
    example: 'owner/name with type=dataset',
    accepts: (path, { type }) => (type === 'competition' ? SHORT_NAME : OWNER_AND_NAME).test(path),
    options: { type: ['competition', 'dataset', 'kernel'] },
    requiredOptions: ['type'],
  },
  local: {
    rule: 'begins with /, ~/ or $ (never ./)',
    example: '~/models/llama/',
    accepts: (path) => /^(?:\/|~\/|\$[A-Za-z_{])/.test(path),
  },
  regional: {
    rule: 'begins with /',
    example: '/models/llama',
    accepts: (path) => path.startsWith('/'),
    options: { datastore: 'any', path: 'any' },
  },
  wasabi: {
    rule: 'begins with s3://',
    example: 's3://my-bucket/models/llama/',
    accepts: beginsWith('s3://'),
    options: { endpoint_url: 'any' },
  },
  web: {
    rule: 'begins with http://, https://, ftp:// or ftps://',
    example: 'https://example.com/models/llama.safetensors',
    accepts: beginsWith('http://', 'https://', 'ftp://', 'ftps://'),
  },
} as const satisfies Record<string, PathRule>

export type SourceType = keyof typeof PATH_RULES
